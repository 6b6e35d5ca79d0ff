//! The readable form of an answer.

use std::io::{self, Write};

use super::Answer;
use crate::theory::{Direction, ListedTie, Metric, TieList, TieScope};

/// Up to this many arms are listed; of more, the ones with the largest target mass.
const ROWS: usize = 40;
/// Up to this many ties are listed.
const TIES: usize = 12;
/// Length of the longest bar, in letters.
const BAR: usize = 24;

pub(super) fn print(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}\n", answer.analysis.sentence)?;
    arms(answer, out)?;
    writeln!(out)?;
    facts(answer, out)?;
    ties(answer, out)
}

fn arms(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    let analysis = &answer.analysis;
    let target = &analysis.target;
    let reference = answer.problem.reference.masses();
    let count = answer.problem.arms();
    let mut shown: Vec<usize> = (0..count).collect();
    if count > ROWS {
        shown.sort_by(|a, b| {
            target.masses[*b]
                .total_cmp(&target.masses[*a])
                .then(a.cmp(b))
        });
        shown.truncate(ROWS);
    }
    let objective = &answer.objective;
    let scaled = objective.reward_scale != 1.0 || objective.reward_offset != 0.0;
    let mut header = vec!["arm", "reference", "reward"];
    if scaled {
        header.push("effective");
    }
    if analysis.mara.is_some() {
        header.push("after MARA");
    }
    header.extend(["target", "log target"]);
    let mut rows: Vec<Vec<String>> = vec![header.into_iter().map(str::to_owned).collect()];
    for &arm in &shown {
        let mut row = vec![
            arm.to_string(),
            number(reference[arm]),
            number(answer.problem.rewards[arm]),
        ];
        if scaled {
            row.push(number(analysis.rewards[arm]));
        }
        if let Some(augmented) = analysis.augmented() {
            row.push(number(augmented[arm]));
        }
        row.push(number(target.masses[arm]));
        row.push(number(target.log_masses[arm]));
        rows.push(row);
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for (i, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:>width$}"))
            .collect();
        let bar = match i.checked_sub(1).and_then(|i| shown.get(i)) {
            Some(&arm) => bar(target.masses[arm]),
            None => String::new(),
        };
        writeln!(out, "{}", format!("{}  {bar}", cells.join("  ")).trim_end())?;
    }
    if count > shown.len() {
        writeln!(
            out,
            "… the {} of {count} arms with the largest target mass; --json lists all",
            shown.len()
        )?;
    }
    Ok(())
}

fn facts(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    let analysis = &answer.analysis;
    let metric = |metric| analysis.target_metrics.get(metric);
    let mut facts = vec![("J*", number(analysis.target.optimal_value))];
    if let Some(lambda) = analysis.target.lambda {
        let name = match answer.objective.direction {
            Direction::Forward => "Λ",
            Direction::Reverse | Direction::Alpha(_) => "λ",
        };
        facts.push((name, number(lambda)));
    }
    facts.push(("E[R]", number(metric(Metric::ExpectedReward))));
    let modes = answer.problem.modes.len();
    if modes > 0 {
        facts.push((
            "effective modes",
            format!("{} of {modes}", number(metric(Metric::EffectiveModes))),
        ));
        facts.push(("mass on modes", number(metric(Metric::ModeMass))));
    }
    if analysis.target.outside_support > 0.0 {
        facts.push((
            "mass outside the reference's support",
            number(analysis.target.outside_support),
        ));
    }
    let width = facts
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    for (name, value) in facts {
        writeln!(out, "{name:<width$}  {value}")?;
    }
    Ok(())
}

fn ties(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    let TieList { ties, scope, .. } = &answer.analysis.ties;
    match scope {
        TieScope::All if ties.is_empty() => return Ok(()),
        TieScope::All => writeln!(
            out,
            "\nTies (the better reward wins below, the better support above)"
        )?,
        TieScope::Alike { pairs } => writeln!(
            out,
            "\nTies of {pairs} pairs (of arms alike in reward and reference the first stands for all; the better reward wins \
             below, the better support above)"
        )?,
        TieScope::Columns { columns, pairs } => {
            let pairs = pairs.map_or_else(String::new, |pairs| format!("{pairs} pairs tie; "));
            writeln!(
                out,
                "\nTies at which the likeliest arm changes, and one of each of {columns} columns of log β from 1e-6 to 1e6 \
                 ({pairs}the better reward wins below, the better support above)"
            )?;
        }
        TieScope::WinnerChanges { total } => {
            let count = if ties.len() < *total {
                format!("{} of {total}", ties.len())
            } else {
                format!("all {total}")
            };
            writeln!(
                out,
                "\nTies at which the likeliest arm changes, {count} (there are too many arms to list the ties of all pairs; the \
                 better reward wins below, the better support above)"
            )?;
        }
        TieScope::Unknown => {
            return writeln!(
                out,
                "\nNo ties are listed: under Algorithm 1 of MARA with this divergence, rewards move with β"
            );
        }
    }
    // Of many ties the ones that decide who wins come first.
    let mut shown: Vec<&ListedTie> = ties.iter().collect();
    shown.sort_by_key(|listed| !listed.changes_winner);
    shown.truncate(TIES);
    shown.sort_by(|a, b| a.tie.beta.total_cmp(&b.tie.beta));
    for listed in shown {
        let tie = listed.tie;
        let lead = if listed.changes_winner {
            ", the likeliest changes"
        } else {
            ""
        };
        writeln!(
            out,
            "  β = {:<10} arm {} (better reward), arm {} (better support){lead}",
            number(tie.beta),
            tie.better_reward,
            tie.better_support
        )?;
    }
    if ties.len() > TIES {
        writeln!(out, "  … and {} more; --json lists them", ties.len() - TIES)?;
    }
    Ok(())
}

/// Six significant digits, plain where that is short.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return match value {
            v if v == f64::NEG_INFINITY => "−∞".to_owned(),
            v if v == f64::INFINITY => "∞".to_owned(),
            _ => "–".to_owned(),
        };
    }
    let exponent = value.abs().log10().floor() as i32;
    let text = if (-4..7).contains(&exponent) {
        let decimals = (5 - exponent).clamp(0, 9) as usize;
        let fixed = format!("{value:.decimals$}");
        if fixed.contains('.') {
            fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            fixed
        }
    } else {
        format!("{value:.3e}")
    };
    text.replace('-', "−")
}

/// A bar of eighths of a letter.
fn bar(mass: f64) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (mass.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    match eighths % 8 {
        0 if eighths == 0 && mass > 0.0 => text.push(PARTS[1]),
        0 => {}
        part => text.push(PARTS[part]),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits_and_no_tail_of_zeros() {
        assert_eq!(number(0.25), "0.25");
        assert_eq!(number(1.0 / 3.0), "0.333333");
        assert_eq!(number(-19.561_2), "−19.5612");
        assert_eq!(number(1e-9), "1.000e−9");
        assert_eq!(number(123_456.7), "123457");
        assert_eq!(number(f64::NEG_INFINITY), "−∞");
        assert_eq!(number(f64::NAN), "–");
        assert_eq!(number(0.0), "0");
    }

    #[test]
    fn bars_grow_with_mass() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(1e-300), "▏");
        assert_eq!(bar(1.0).chars().count(), BAR);
        assert_eq!(bar(0.5).chars().count(), BAR / 2);
    }
}
