//! `--set path=value`: changing one field of a preset by its path, with a value in RON.
//!
//! The preset is written out as text, the value at the path is replaced there, and the text is read back, so that a field
//! set by hand goes through exactly the checks of a file. The schema leads the way and says what is accepted.

use std::ops::Range;

use thiserror::Error;

use super::{
    closest::closest,
    mistake::{Mistake, repeated},
    preset::Preset,
    read::{read_form, to_ron},
    schema::{self, Content, Field, Shape, Variant},
    structure::join,
    tree::{self, Kind, Node, Tree},
    validate::validate,
};

/// Why `path=value` was refused; the preset is then as before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetError {
    /// No `=`.
    #[error("`{text}` is not accepted; write path=value, for instance objective.beta=0.1")]
    NotAnAssignment {
        /// What was given.
        text: String,
    },
    /// The path leads nowhere.
    #[error("{path}: {message}")]
    Path {
        /// The path up to where it goes wrong.
        path: String,
        /// What is wrong and what is accepted.
        message: String,
    },
    /// The value is not RON.
    #[error("{path}: `{value}` is not a value: {message}")]
    Value {
        /// The path.
        path: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        message: String,
    },
    /// The preset with the new value is not accepted.
    #[error("{0}")]
    Refused(Mistake),
}

/// Sets one field: `objective.beta=0.1`, `training.update.Sampled.batch=64`, `objective.direction=Forward`.
///
/// The path may leave out the names of variants (`training.update.batch=64`); numbers are indices of lists. Values are
/// RON; texts may leave out their quotes. Where a path names another variant, or a struct that is absent, that is made
/// with this one field.
///
/// # Errors
/// Names the path, the value and what is accepted; the preset is then unchanged.
pub fn set_path(preset: &mut Preset, assignment: &str) -> Result<(), SetError> {
    set_paths(preset, &[assignment])
}

/// Sets fields one after the other, as [`set_path`] does. What they make together must be accepted, whatever it is on the
/// way: `training.policy=Gaussian` and `training.update=Exact` may come in either order.
///
/// # Errors
/// As [`set_path`]; the preset is then unchanged.
pub fn set_paths(preset: &mut Preset, assignments: &[impl AsRef<str>]) -> Result<(), SetError> {
    if assignments.is_empty() {
        return Ok(());
    }
    let mut changed = preset.clone();
    for assignment in assignments {
        changed = with(&changed, assignment.as_ref())?;
    }
    let mut mistakes = validate(&changed);
    let is_own = |mistake: &Mistake| {
        let mut assignments = assignments.iter().map(AsRef::as_ref);
        assignments.any(|assignment| relates(assignment, &mistake.field))
    };
    let first = mistakes.iter().position(is_own).unwrap_or(0);
    if first < mistakes.len() {
        return Err(SetError::Refused(mistakes.swap_remove(first)));
    }
    *preset = changed;
    Ok(())
}

/// What of `assignments` cannot be set, by index, and the preset with all the others set. What the new values mean is not
/// looked at.
pub(crate) fn try_paths(
    preset: &Preset,
    assignments: &[String],
) -> (Preset, Vec<(usize, SetError)>) {
    let mut changed = preset.clone();
    let mut refused = Vec::new();
    for (index, assignment) in assignments.iter().enumerate() {
        match with(&changed, assignment) {
            Ok(preset) => changed = preset,
            Err(error) => refused.push((index, error)),
        }
    }
    (changed, refused)
}

/// Whether an assignment sets a field, a part of it or something around it.
pub(crate) fn relates(assignment: &str, field: &str) -> bool {
    let path = assignment.split('=').next().unwrap_or_default();
    // Fields of mistakes leave the names of variants out.
    let mut set = (path.trim().split('.')).filter(|part| !part.starts_with(char::is_uppercase));
    let mut at = field.split('.');
    loop {
        match (set.next(), at.next()) {
            (Some(set), Some(at)) if set == at => {}
            (Some(_), Some(_)) => return false,
            (None, _) | (_, None) => return true,
        }
    }
}

/// A preset with one field set, its form checked and nothing else.
fn with(preset: &Preset, assignment: &str) -> Result<Preset, SetError> {
    let (path, value) = assignment
        .split_once('=')
        .map(|(path, value)| (path.trim(), value.trim()))
        .filter(|(path, _)| !path.is_empty())
        .ok_or_else(|| SetError::NotAnAssignment {
            text: repeated(assignment),
        })?;
    let text = to_ron(preset);
    // What `to_ron` writes is always a tree; the message is for completeness.
    let tree = Tree::parse(&text).map_err(|error| SetError::Path {
        path: path.to_owned(),
        message: error.message,
    })?;
    let segments: Vec<&str> = path.split('.').collect();
    let walk = Walk {
        tree: &tree,
        segments: &segments,
        value,
    };
    let (span, replacement) = walk.inside(Some(&tree.root), &schema::PRESET, 0)?;
    let mut changed = text.clone();
    changed.replace_range(span, &replacement);
    read_form(&changed).map_err(|errors| {
        let mut mistake = match errors.mistakes().first() {
            Some(first) => first.clone(),
            None => Mistake::new(path, "is not accepted"),
        };
        // A place in a text that nobody has seen helps nobody.
        mistake.place = None;
        if mistake.field.is_empty() {
            mistake.field = path.to_owned();
        }
        SetError::Refused(mistake)
    })
}

struct Walk<'a, 't> {
    tree: &'a Tree<'t>,
    segments: &'a [&'a str],
    value: &'a str,
}

/// A span of the text and what to put there.
type Replacement = (Range<usize>, String);

impl Walk<'_, '_> {
    fn path(&self, depth: usize) -> String {
        repeated(&self.segments[..depth.min(self.segments.len())].join("."))
    }

    fn wrong(&self, depth: usize, message: impl Into<String>) -> SetError {
        SetError::Path {
            path: self.path(depth),
            message: message.into(),
        }
    }

    /// Where the segments from `depth` on lead inside `node`, whose shape is `shape`; an absent node is made anew and
    /// replaces nothing by itself.
    fn inside(
        &self,
        node: Option<&Node>,
        shape: &Shape,
        depth: usize,
    ) -> Result<Replacement, SetError> {
        let whole = node.map_or(0..0, |node| node.span.clone());
        let Some(segment) = self.segments.get(depth) else {
            return Ok((whole, self.leaf(shape)?));
        };
        match shape {
            Shape::Maybe(inner) => self.maybe(node, inner, depth),
            Shape::Struct(fields) => self.field(node, fields, depth),
            Shape::Enum(variants) => self.variant(node, variants, depth),
            Shape::List(inner) => {
                let items = match node.map(|node| &node.kind) {
                    Some(Kind::List(items)) => items.as_slice(),
                    _ => &[],
                };
                self.item(items, segment, depth, |_| inner)
            }
            Shape::Tuple(shapes) => {
                let items = match node.map(|node| &node.kind) {
                    Some(Kind::Tuple { items, .. }) => items.as_slice(),
                    _ => &[],
                };
                self.item(items, segment, depth, |index| {
                    shapes.get(index).unwrap_or(&Shape::Number)
                })
            }
            Shape::Number
            | Shape::Beta
            | Shape::Whole(_)
            | Shape::Count { .. }
            | Shape::Text
            | Shape::Flag
            | Shape::Metric => Err(self.wrong(
                depth,
                format!(
                    "is {}; it has no part `{}`",
                    shape.describe(),
                    repeated(segment)
                ),
            )),
        }
    }

    fn maybe(
        &self,
        node: Option<&Node>,
        inner: &Shape,
        depth: usize,
    ) -> Result<Replacement, SetError> {
        match node.map(|node| (&node.kind, node)) {
            Some((Kind::Tuple { name, items }, _))
                if self.tree.name(name) == Some("Some") && items.len() == 1 =>
            {
                self.inside(items.first(), inner, depth)
            }
            // Nothing there yet: made from what the path says, in place of `None`.
            Some((Kind::Name, none)) if self.tree.at(&none.span) == "None" => {
                let (_, made) = self.inside(None, inner, depth)?;
                Ok((none.span.clone(), made))
            }
            _ => self.inside(node, inner, depth),
        }
    }

    fn item<'s>(
        &self,
        items: &[Node],
        segment: &str,
        depth: usize,
        shape: impl Fn(usize) -> &'s Shape,
    ) -> Result<Replacement, SetError> {
        let index = segment.parse::<usize>().ok();
        match index.and_then(|index| Some((items.get(index)?, index))) {
            Some((item, index)) => self.inside(Some(item), shape(index), depth + 1),
            None if items.is_empty() => {
                Err(self.wrong(depth, "is an empty list; set the whole list"))
            }
            None => Err(self.wrong(
                depth,
                format!(
                    "has no item `{}`; items 0 to {} are accepted",
                    repeated(segment),
                    items.len() - 1
                ),
            )),
        }
    }

    fn field(
        &self,
        node: Option<&Node>,
        fields: &[Field],
        depth: usize,
    ) -> Result<Replacement, SetError> {
        let segment = self.segments[depth];
        let Some(field) = fields.iter().find(|field| field.name == segment) else {
            let names = fields.iter().map(|field| field.name);
            return Err(self.unknown(segment, names, "field", depth));
        };
        let Some(node) = node else {
            let (_, made) = self.inside(None, &field.shape, depth + 1)?;
            return Ok((0..0, format!("({segment}: {made})")));
        };
        let given: &[tree::Field] = match &node.kind {
            Kind::Struct { fields, .. } => fields,
            _ => &[],
        };
        match given.iter().find(|one| self.tree.at(&one.name) == segment) {
            Some(one) => self.inside(Some(&one.value), &field.shape, depth + 1),
            None => {
                // A field that is not written when it is empty: put behind the opening bracket.
                let (_, made) = self.inside(None, &field.shape, depth + 1)?;
                let open = self.tree.at(&node.span).find('(').unwrap_or(0);
                let at = node.span.start + open + 1;
                Ok((at..at, format!("{segment}: {made}, ")))
            }
        }
    }

    fn variant(
        &self,
        node: Option<&Node>,
        variants: &[Variant],
        depth: usize,
    ) -> Result<Replacement, SetError> {
        let segment = self.segments[depth];
        let name = node.and_then(|node| match &node.kind {
            Kind::Name => Some(self.tree.at(&node.span)),
            Kind::Struct { name, .. } | Kind::Tuple { name, .. } => self.tree.name(name),
            Kind::Number | Kind::Text | Kind::Char | Kind::List(_) | Kind::Map => None,
        });
        let present = variants.iter().find(|variant| Some(variant.name) == name);
        let named = variants.iter().find(|variant| variant.name == segment);
        match (named, present, node) {
            (Some(named), Some(present), Some(node)) if named.name == present.name => {
                self.content(node, present, depth + 1)
            }
            (Some(named), _, _) => {
                let whole = node.map_or(0..0, |node| node.span.clone());
                Ok((whole, self.made(named, depth + 1)?))
            }
            // The name of the present variant may be left out.
            (None, Some(present), Some(node)) if accepts(present, segment) => {
                self.content(node, present, depth)
            }
            (None, Some(present), _) => {
                let fields: Vec<&str> = match present.content {
                    Content::Fields(fields) => fields.iter().map(|field| field.name).collect(),
                    Content::Nothing | Content::Values(_) => Vec::new(),
                };
                let names = fields
                    .into_iter()
                    .chain(variants.iter().map(|variant| variant.name));
                Err(self.unknown(segment, names, &format!("part of {}", present.name), depth))
            }
            (None, None, _) => {
                let names = variants.iter().map(|variant| variant.name);
                Err(self.unknown(segment, names, "variant", depth))
            }
        }
    }

    /// On into the content of the variant that is there.
    fn content(
        &self,
        node: &Node,
        variant: &Variant,
        depth: usize,
    ) -> Result<Replacement, SetError> {
        match (variant.content, &node.kind) {
            (Content::Fields(fields), _) if depth < self.segments.len() => {
                self.field(Some(node), fields, depth)
            }
            (Content::Values([shape]), Kind::Tuple { items, .. }) => {
                self.inside(items.first(), shape, depth)
            }
            (Content::Values(shapes), Kind::Tuple { items, .. }) if depth < self.segments.len() => {
                self.item(items, self.segments[depth], depth, |index| {
                    shapes.get(index).unwrap_or(&Shape::Number)
                })
            }
            _ => Err(self.whole_variant(variant, depth)),
        }
    }

    /// A variant that is not there yet, with what the rest of the path says.
    fn made(&self, variant: &Variant, depth: usize) -> Result<String, SetError> {
        match variant.content {
            Content::Fields(fields) if depth < self.segments.len() => {
                let (_, made) = self.field(None, fields, depth)?;
                Ok(format!("{}{made}", variant.name))
            }
            Content::Values([shape]) => {
                let (_, made) = self.inside(None, shape, depth)?;
                Ok(format!("{}({made})", variant.name))
            }
            Content::Nothing | Content::Values(_) | Content::Fields(_) => {
                Err(self.whole_variant(variant, depth))
            }
        }
    }

    fn whole_variant(&self, variant: &Variant, depth: usize) -> SetError {
        let parent = self.path(depth.saturating_sub(1));
        self.wrong(depth, format!("write {parent}={}", variant.example()))
    }

    fn unknown<'n>(
        &self,
        segment: &str,
        names: impl Iterator<Item = &'n str> + Clone,
        what: &str,
        depth: usize,
    ) -> SetError {
        let known: Vec<&str> = names.clone().collect();
        let guess = match closest(segment, names) {
            Some(near) => format!("did you mean `{near}`? "),
            None => String::new(),
        };
        SetError::Path {
            path: join(&self.path(depth), &repeated(segment)),
            message: format!("unknown {what}; {guess}accepted are {}", known.join(", ")),
        }
    }

    /// The value as RON; a text without quotes gets them.
    fn leaf(&self, shape: &Shape) -> Result<String, SetError> {
        let path = || self.path(self.segments.len());
        if let Shape::Text | Shape::Maybe(Shape::Text) = shape
            && !self.value.starts_with(['"', 'r'])
            && self.value != "None"
            && !self.value.starts_with("Some(")
        {
            return Ok(format!("{:?}", self.value));
        }
        match Tree::parse(self.value) {
            Ok(tree) if !tree.has_attributes => Ok(self.value.to_owned()),
            Ok(_) => Err(SetError::Value {
                path: path(),
                value: repeated(self.value),
                message: "attributes are not accepted here".to_owned(),
            }),
            Err(error) => Err(SetError::Value {
                path: path(),
                value: repeated(self.value),
                message: error.message,
            }),
        }
    }
}

/// Whether a variant has a part of this name.
fn accepts(variant: &Variant, segment: &str) -> bool {
    match variant.content {
        Content::Nothing => false,
        Content::Fields(fields) => fields.iter().any(|field| field.name == segment),
        Content::Values([_]) => true,
        Content::Values(_) => segment.parse::<usize>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;
    use crate::experiment::parse_preset;
    use crate::{
        experiment::{Advantage, KlPenalty, PolicyFamily, Source, Start, Update, builtin_preset},
        theory::{Direction, Threshold},
    };

    fn after(assignments: &[&str]) -> Preset {
        let mut preset = builtin_preset("figure-5").unwrap();
        for assignment in assignments {
            set_path(&mut preset, assignment).unwrap_or_else(|e| panic!("{assignment}: {e}"));
        }
        preset
    }

    fn refusal(assignment: &str) -> String {
        let mut preset = builtin_preset("figure-5").unwrap();
        let before = preset.clone();
        let error = set_path(&mut preset, assignment).unwrap_err().to_string();
        assert_eq!(preset, before, "a refused change must change nothing");
        assert!(!error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn sets_plain_and_nested_fields() {
        assert_eq!(after(&["objective.beta=0.125"]).objective.beta.get(), 0.125);
        assert_eq!(
            after(&["objective.direction=Forward"]).objective.direction,
            Direction::Forward
        );
        assert_eq!(
            after(&["objective.direction=Alpha(0.5)"])
                .objective
                .direction,
            Direction::Alpha(0.5)
        );
        assert_eq!(
            after(&["objective.direction.Alpha=2"]).objective.direction,
            Direction::Alpha(2.0)
        );
        assert_eq!(
            after(&["training.policy=Gaussian"]).training.policy,
            PolicyFamily::Gaussian
        );
        assert_eq!(
            after(&["training.stop.steps=500"]).training.stop.steps,
            Some(500)
        );
        assert_eq!(
            after(&["training.stop.steps=Some(500)"])
                .training
                .stop
                .steps,
            Some(500)
        );
        assert_eq!(
            after(&["training.stop.steps=5", "training.stop.steps=None"])
                .training
                .stop
                .steps,
            None
        );
        assert_eq!(after(&["title=A new name"]).title, "A new name");
        assert_eq!(after(&["title=\"Quoted\""]).title, "Quoted");
        assert_eq!(after(&["bandit.arms.count=75"]).training.seed, 1);
    }

    #[test]
    fn reaches_into_variants_with_and_without_their_names() {
        for path in [
            "training.update.Sampled.batch=64",
            "training.update.batch=64",
        ] {
            assert_eq!(
                after(&[path]).training.update,
                Update::Sampled {
                    batch: 64,
                    advantage: Advantage::MeanBaseline,
                    kl: KlPenalty::Matched
                }
            );
        }
        assert_eq!(
            after(&["training.update.Dap.batch=9"]).training.update,
            Update::Dap { batch: 9 }
        );
        assert_eq!(
            after(&["training.policy.GaussianMixture.components=3"])
                .training
                .policy,
            PolicyFamily::GaussianMixture { components: 3 }
        );
        let mara = after(&[
            "objective.mara.threshold=Constant(0.5)",
            "objective.mara.per_class=true",
        ])
        .objective
        .mara
        .unwrap();
        assert_eq!(mara.threshold, Threshold::Constant(0.5));
        assert!(mara.per_class);
        assert_eq!(
            after(&["objective.mara.threshold.Percentile=0.9"])
                .objective
                .mara
                .unwrap()
                .threshold,
            Threshold::Percentile(0.9)
        );
        let Source::Blocks { blocks, .. } =
            after(&["bandit.rewards.blocks.1.value=0.5"]).bandit.rewards
        else {
            panic!("blocks stay blocks")
        };
        assert_eq!(blocks[1].value, 0.5);
        assert_eq!(
            after(&["bandit.rewards=Formula(\"i / n\")"]).bandit.rewards,
            Source::Formula("i / n".to_owned())
        );
        let given = after(&["bandit.arms.count=100", "training.start=Uniform"])
            .training
            .start;
        assert_eq!(given, Start::Uniform);
        assert_eq!(
            after(&["bandit.reward_edits=[(3, 0.5)]"])
                .bandit
                .reward_edits,
            vec![(3, 0.5)]
        );
        assert_eq!(
            after(&[
                "bandit.reward_edits=[(3, 0.5)]",
                "bandit.reward_edits.0.1=0.25"
            ])
            .bandit
            .reward_edits,
            vec![(3, 0.25)]
        );
    }

    #[test]
    fn a_variant_called_none_is_no_absent_value() {
        let preset = after(&["training.update.advantage=None", "training.update.batch=64"]);
        let wanted = Update::Sampled {
            batch: 64,
            advantage: Advantage::None,
            kl: KlPenalty::Matched,
        };
        assert_eq!(preset.training.update, wanted);
        let written = to_ron(&preset);
        assert!(written.contains("advantage: None"), "{written}");
        assert_eq!(parse_preset(&written).unwrap(), preset);
    }

    #[test]
    fn a_refusal_names_path_value_and_what_is_accepted() {
        for (assignment, words) in [
            ("objective.beta", &["path=value"][..]),
            ("=3", &["path=value"]),
            (
                "objective.bta=1",
                &["objective.bta", "did you mean `beta`", "reward_scale"],
            ),
            ("nonsense=1", &["nonsense", "accepted are format, title"]),
            ("objective.beta.x=1", &["objective.beta", "no part `x`"]),
            ("objective.beta=-1", &["objective.beta", "-1", "above 0"]),
            ("objective.beta=0", &["objective.beta", "above 0"]),
            ("objective.beta=NaN", &["objective.beta", "NaN"]),
            ("objective.beta=fast", &["objective.beta", "fast"]),
            ("objective.beta=", &["objective.beta", "a value is missing"]),
            ("objective.beta=1, entropy: 5", &["objective.beta"]),
            ("objective.beta=1) (", &["objective.beta"]),
            (
                "training.update.batch=0",
                &["training.update.batch", "1 to 65536"],
            ),
            (
                "training.update.Sampled.bach=1",
                &["bach", "did you mean `batch`"],
            ),
            (
                "training.update.Dap=3",
                &["write training.update=Dap(batch: 1)"],
            ),
            ("training.policy.Mlp.hidden=[8]", &["features", "missing"]),
            ("training.policy=Gauss", &["training.policy", "Gauss"]),
            ("bandit.rewards.blocks.7.value=1", &["items 0 to 1"]),
            (
                "objective.direction=Sideways",
                &["Sideways", "Reverse", "Forward"],
            ),
            ("format=2", &["format 2", "newer"]),
        ] {
            let error = refusal(assignment);
            for word in words {
                assert!(
                    error.contains(word),
                    "{assignment}: “{error}” lacks “{word}”"
                );
            }
        }
    }
}
