//! Reverse KL, with or without an entropy bonus: G ∝ π_ref^{β/(β+η)} e^{R/(β+η)}, in closed form.
//!
//! Two passes over the arms, bound by memory: the sum in pieces, each relative to its own best arm, then the masses. Weights
//! are taken relative to the best reward, so that the arms that matter lose no digits at small β.

use super::{Target, TargetError, check_range};
use crate::theory::kernels::{self, PIECE, Piece, Tilt};

pub(super) fn solve(
    log_reference: &[f64],
    rewards: &[f64],
    beta: f64,
    eta: f64,
    target: &mut Target,
) -> Result<(), TargetError> {
    let temperature = beta + eta;
    let mut by = Tilt {
        power: beta / temperature,
        top: 0.0,
        rate: 1.0 / temperature,
    };
    let mut pieces = Vec::with_capacity(rewards.len().div_ceil(PIECE));
    kernels::partition(by, log_reference, rewards, &mut pieces);
    let Some(survey) = pieces
        .iter()
        .map(|piece| piece.survey)
        .reduce(|a, b| a.join(b))
    else {
        return Ok(());
    };
    check_range(survey, rewards)?;
    by.top = survey.best;

    // A piece's largest weight relative to the best reward of all.
    let level = |piece: &Piece| piece.highest + (piece.survey.best - by.top) * by.rate;
    let (home, highest) = pieces.iter().map(level).enumerate().fold(
        (0, f64::NEG_INFINITY),
        |best, (index, level)| {
            if level > best.1 { (index, level) } else { best }
        },
    );
    let share = |piece: &Piece| {
        if piece.sum > 0.0 {
            piece.sum * (level(piece) - highest).exp()
        } else {
            0.0
        }
    };
    let mut sum = kernels::Compensated::default();
    for piece in &pieces {
        sum.add(share(piece));
    }
    // Where one arm dominates, its log mass is −log1p of what the others weigh against it, exact however small that is.
    let heavy = (sum.get() < 2.0)
        .then(|| heaviest(by, home, highest, log_reference, rewards))
        .flatten();
    let log_sum = match heavy {
        Some((_, beside)) => {
            let mut others = kernels::Compensated::default();
            others.add(beside);
            for (_, piece) in pieces
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != home)
            {
                others.add(share(piece));
            }
            others.get().ln_1p()
        }
        None => sum.get().ln(),
    };
    kernels::tilt(
        by,
        highest,
        log_sum,
        log_reference,
        rewards,
        &mut target.log_masses,
        &mut target.masses,
    );
    if let Some((arm, _)) = heavy {
        target.log_masses[arm] = -log_sum;
        target.masses[arm] = (-log_sum).exp();
    }
    target.optimal_value = if eta == 0.0 && survey.high - survey.low < beta {
        // β log Z would lose digits to β: write it as the reference's mean plus an excess.
        let mean = kernels::dot_exp(log_reference, rewards);
        let excess = kernels::excess(log_reference, rewards, mean, by.rate);
        mean + beta * excess.ln_1p()
    } else {
        survey.best + temperature * (highest + log_sum)
    };
    Ok(())
}

/// The heaviest arm, in piece `home`, and what the rest of that piece weighs against it.
fn heaviest(
    by: Tilt,
    home: usize,
    highest: f64,
    log_reference: &[f64],
    rewards: &[f64],
) -> Option<(usize, f64)> {
    let start = home * PIECE;
    let end = (start + PIECE).min(rewards.len());
    let weights: Vec<f64> = (start..end)
        .map(|arm| {
            if log_reference[arm] == f64::NEG_INFINITY {
                f64::NEG_INFINITY
            } else {
                by.power * log_reference[arm] + (rewards[arm] - by.top) * by.rate - highest
            }
        })
        .collect();
    let heavy = weights
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map(|(index, _)| index)?;
    let top = weights[heavy];
    let beside = weights
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != heavy)
        .map(|(_, w)| (w - top).exp())
        .sum();
    Some((start + heavy, beside))
}
