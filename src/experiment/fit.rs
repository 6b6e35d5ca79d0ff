//! Giving a bandit other arms or another source as a whole. What was written for the old ones is made to fit: hand-made
//! changes go with the source that they lay on, and what speaks of arms that are no longer there is cut.

use super::{
    preset::{Arms, BanditSpec, ModeSpec, Role, Source},
    validate::MAX_ARMS,
};

impl BanditSpec {
    /// Where the numbers of a role come from.
    #[must_use]
    pub fn source(&self, role: Role) -> &Source {
        match role {
            Role::Reference => &self.reference,
            Role::Rewards => &self.rewards,
        }
    }

    /// What was changed by hand on top of a source.
    #[must_use]
    pub fn hand_edits(&self, role: Role) -> &[(usize, f64)] {
        match role {
            Role::Reference => &self.reference_edits,
            Role::Rewards => &self.reward_edits,
        }
    }

    /// The same problem without what was changed by hand on top of a source.
    #[must_use]
    pub fn without_hand_edits(&self, role: Role) -> Self {
        let mut spec = self.clone();
        match role {
            Role::Reference => spec.reference_edits.clear(),
            Role::Rewards => spec.reward_edits.clear(),
        }
        spec
    }

    /// The same problem with another source. One of another kind drops what was changed by hand on top of the old one.
    #[must_use]
    pub fn with_source(&self, role: Role, source: Source) -> Self {
        let mut spec = if self.source(role).is_kind_of(&source) {
            self.clone()
        } else {
            self.without_hand_edits(role)
        };
        match role {
            Role::Reference => spec.reference = source,
            Role::Rewards => spec.rewards = source,
        }
        spec
    }

    /// The same problem on other arms, and in words what of its modes had to be cut. Where there are more arms than
    /// before, lists go on with zeros (rewards) or their mean (weights).
    #[must_use]
    pub fn with_arms(&self, arms: Arms) -> (Self, Vec<String>) {
        let count = arms.count().min(MAX_ARMS);
        let mut spec = Self {
            arms,
            ..self.clone()
        };
        if count == self.arms.count() {
            return (spec, Vec::new());
        }
        if let Source::List(masses) = &mut spec.reference {
            // What is cut need not sum to one.
            spec.reference = Source::Weights(std::mem::take(masses));
        }
        fit_source(&mut spec.reference, count);
        fit_source(&mut spec.rewards, count);
        spec.reward_edits.retain(|(arm, _)| *arm < count);
        spec.reference_edits.retain(|(arm, _)| *arm < count);
        let cut = fit_modes(&mut spec.modes, count);
        (spec, cut)
    }
}

impl Arms {
    /// How many there are; saturates where a grid is absurdly large.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Line { count, .. } => *count,
            Self::Grid { rows, columns, .. } => rows.saturating_mul(*columns),
            Self::Named(names) => names.len(),
        }
    }

    /// Axes that they lie along: 1 on a line, 2 on a grid.
    #[must_use]
    pub fn axes(&self) -> usize {
        match self {
            Self::Line { .. } | Self::Named(_) => 1,
            Self::Grid { .. } => 2,
        }
    }
}

impl Source {
    /// Whether both are the same kind of source; listed masses and listed weights are one.
    #[must_use]
    pub fn is_kind_of(&self, other: &Self) -> bool {
        let is_list = |source: &Self| matches!(source, Self::List(_) | Self::Weights(_));
        std::mem::discriminant(self) == std::mem::discriminant(other)
            || (is_list(self) && is_list(other))
    }
}

fn fit_source(source: &mut Source, arms: usize) {
    match source {
        Source::List(values) if values.len() != arms => {
            values.resize(arms, 0.0);
        }
        Source::Weights(values) if values.len() != arms => {
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            values.resize(arms, mean);
        }
        Source::Blocks { blocks, .. } => {
            blocks.retain(|block| block.from < arms);
            for block in blocks {
                block.to = block.to.min(arms);
            }
        }
        Source::List(_)
        | Source::Weights(_)
        | Source::Constant(_)
        | Source::Csv { .. }
        | Source::Bumps { .. }
        | Source::PowerLaw { .. }
        | Source::Zipf { .. }
        | Source::Random { .. }
        | Source::Formula(_) => {}
    }
}

/// Cuts labelled modes to the arms there are; modes are detected where none is left.
fn fit_modes(modes: &mut ModeSpec, arms: usize) -> Vec<String> {
    let ModeSpec::Labelled(labelled) = modes else {
        return Vec::new();
    };
    let last = arms.saturating_sub(1);
    let mut cut = Vec::new();
    labelled.retain_mut(|mode| {
        let before = mode.ranges.clone();
        mode.ranges.retain(|(from, _)| *from < arms);
        for (_, to) in &mut mode.ranges {
            *to = (*to).min(arms);
        }
        if mode.ranges.is_empty() {
            cut.push(format!(
                "Mode “{}” is gone: its arms came after arm {last}, the last one now",
                mode.label
            ));
        } else if mode.ranges != before {
            cut.push(format!(
                "Mode “{}” now ends at arm {last}, the last one",
                mode.label
            ));
        }
        !mode.ranges.is_empty()
    });
    if labelled.is_empty() {
        *modes = ModeSpec::default();
        cut.push("No labelled mode is left: modes are detected now".to_owned());
    }
    cut
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;
    use crate::experiment::{Block, LabelledMode, Preset, builtin_preset, parse_preset, to_ron};

    fn line(count: usize) -> Arms {
        Arms::Line { count, range: None }
    }

    fn labelled() -> BanditSpec {
        let mode = |label: &str, from, to| LabelledMode {
            label: label.to_owned(),
            ranges: vec![(from, to)],
        };
        BanditSpec {
            arms: line(10),
            reference: Source::Weights(vec![2.0; 10]),
            rewards: Source::Blocks {
                blocks: vec![
                    Block {
                        from: 2,
                        to: 6,
                        value: 1.0,
                    },
                    Block {
                        from: 8,
                        to: 10,
                        value: 1.0,
                    },
                ],
                otherwise: 0.0,
            },
            modes: ModeSpec::Labelled(vec![mode("low", 2, 6), mode("high", 8, 10)]),
            reward_edits: vec![(1, 0.5), (9, 0.5)],
            reference_edits: vec![(9, 0.5)],
        }
    }

    #[test]
    fn fewer_arms_cut_modes_blocks_lists_and_hand_made_changes_and_say_so() {
        let (spec, cut) = labelled().with_arms(line(4));
        assert_eq!(spec.reward_edits, [(1, 0.5)]);
        assert!(spec.reference_edits.is_empty());
        assert_eq!(spec.reference, Source::Weights(vec![2.0; 4]));
        let ModeSpec::Labelled(modes) = &spec.modes else {
            panic!("one mode is left")
        };
        assert_eq!(modes.len(), 1);
        assert_eq!(modes[0].ranges, [(2, 4)]);
        assert_eq!(cut.len(), 2, "{cut:?}");
        let (spec, cut) = labelled().with_arms(line(1));
        assert_eq!(spec.modes, ModeSpec::default());
        assert_eq!(cut.len(), 3, "{cut:?}");
        let (spec, cut) = labelled().with_arms(line(12));
        assert_eq!(spec.reference, Source::Weights(vec![2.0; 12]));
        assert!(cut.is_empty());
    }

    #[test]
    fn another_kind_drops_what_was_changed_by_hand_and_another_value_keeps_it() {
        let zipf = |exponent| Source::Zipf { exponent };
        let spec = labelled().with_source(Role::Rewards, zipf(1.0));
        assert!(spec.reward_edits.is_empty());
        assert_eq!(spec.reference_edits, [(9, 0.5)]);
        let spec = BanditSpec {
            reward_edits: vec![(3, 1.0)],
            ..spec
        };
        assert_eq!(
            spec.with_source(Role::Rewards, zipf(2.0)).reward_edits,
            [(3, 1.0)]
        );
        let list = labelled().with_source(Role::Reference, Source::List(vec![0.1; 10]));
        assert_eq!(list.reference_edits, [(9, 0.5)]);
    }

    #[test]
    fn what_is_written_after_a_cut_is_read_back() {
        let mut preset: Preset = builtin_preset("figure-5").unwrap();
        assert!(!preset.expectations.is_empty());
        preset.bandit = preset.bandit.with_arms(line(20)).0;
        let read = parse_preset(&to_ron(&preset)).unwrap();
        assert_eq!(read.bandit, preset.bandit);
    }
}
