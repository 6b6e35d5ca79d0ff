//! Stand-ins until the trainer thread and the theory are there.
#![allow(missing_docs, dead_code, clippy::all, reason = "goes away")]
use crate::{
    bandit::{Analysis, Problem},
    engine::{Command, Event, Snapshot},
    theory::*,
};
use std::sync::Arc;

pub(crate) struct Engine;
impl Engine {
    pub(crate) fn spawn(_wake: impl Fn() + Send + Sync + 'static) -> std::io::Result<Self> {
        Ok(Self)
    }
    pub(crate) fn send(&self, _command: Command) -> Result<(), ()> {
        Ok(())
    }
    pub(crate) fn try_event(&self) -> Option<Event> {
        None
    }
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        None
    }
}

pub(crate) fn analyse(problem: &Problem, objective: &Objective) -> Result<Analysis, String> {
    let rewards: Vec<f64> = problem
        .rewards
        .iter()
        .map(|&r| objective.effective_reward(r))
        .collect();
    let log: Vec<f64> = problem
        .reference
        .log_masses()
        .iter()
        .zip(&rewards)
        .map(|(l, r)| l + r / objective.beta.get())
        .collect();
    let target = Distribution::from_log_weights(&log).map_err(|e| e.to_string())?;
    let masses = target.masses();
    let reference = problem.reference.masses();
    let modes = |masses: &[f64]| {
        problem
            .modes
            .iter()
            .map(|m| m.arms.iter().map(|&a| masses[a as usize]).sum())
            .collect()
    };
    Ok(Analysis {
        rewards,
        augmented: None,
        swapped_reference: None,
        reference_modes: modes(&reference),
        target_modes: modes(&masses),
        target: Target {
            log_masses: target.log_masses().to_vec(),
            masses,
            lambda: None,
            optimal_value: 0.0,
            outside_support: 0.0,
        },
        target_metrics: Metrics::default(),
        reference_metrics: Metrics::default(),
        ties: Vec::new(),
        mode_ties: Vec::new(),
        sentence: "99.9 % of the target sits on one of 2 modes; a sentence that says why goes here"
            .to_owned(),
    })
}
