//! What the axis choosers offer, and the ticks of an axis.

use crate::{
    engine::{Item, Parameter, PhaseAxis},
    ui::widgets::number::significant,
};

/// A parameter as a user chooses it; the pair makes it a [`Parameter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AxisKind {
    Beta,
    Scale,
    Offset,
    Gap,
    Ratio,
    Tau,
    Alpha,
    Entropy,
    Power,
}

impl AxisKind {
    pub(super) const ALL: [Self; 9] = [
        Self::Beta,
        Self::Gap,
        Self::Ratio,
        Self::Scale,
        Self::Offset,
        Self::Tau,
        Self::Alpha,
        Self::Entropy,
        Self::Power,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Beta => "β",
            Self::Scale => "reward scale",
            Self::Offset => "reward offset",
            Self::Gap => "reward gap",
            Self::Ratio => "reference ratio",
            Self::Tau => "τ of MARA",
            Self::Alpha => "α",
            Self::Entropy => "entropy bonus η",
            Self::Power => "reference power",
        }
    }

    pub(super) fn explanation(self) -> &'static str {
        match self {
            Self::Beta => "Coefficient of the divergence to the reference",
            Self::Scale => "Factor of every reward; the same knob as 1/β under reverse KL",
            Self::Offset => "Added to every reward; changes nothing without a threshold",
            Self::Gap => {
                "Raw reward of the first of the pair above the second; the first one's reward moves"
            }
            Self::Ratio => {
                "Reference mass of the first of the pair over the second; the first one's mass moves"
            }
            Self::Tau => "MARA's threshold; switches MARA on",
            Self::Alpha => {
                "Direction as a dial: 1 is reverse, 0 is forward, ½ is Hellinger, 2 is χ²"
            }
            Self::Entropy => "Coefficient of an entropy bonus",
            Self::Power => {
                "The reference raised to a power: sharper above 1, uniform at 0. Only looked at, not set"
            }
        }
    }

    pub(super) fn uses_pair(self) -> bool {
        matches!(self, Self::Gap | Self::Ratio)
    }

    pub(super) fn parameter(self, first: Item, second: Item) -> Parameter {
        match self {
            Self::Beta => Parameter::Beta,
            Self::Scale => Parameter::RewardScale,
            Self::Offset => Parameter::RewardOffset,
            Self::Gap => Parameter::RewardGap(first, second),
            Self::Ratio => Parameter::ReferenceRatio(first, second),
            Self::Tau => Parameter::Tau,
            Self::Alpha => Parameter::Alpha,
            Self::Entropy => Parameter::Entropy,
            Self::Power => Parameter::ReferencePower,
        }
    }
}

/// Ticks of an axis with about `wanted` of them: fraction of the axis and label.
pub(super) fn ticks(axis: &PhaseAxis, wanted: usize) -> Vec<(f64, String)> {
    let wanted = wanted.max(2) as f64;
    let mut ticks = Vec::new();
    let mut put = |value: f64| {
        let fraction = axis.fraction_of(value);
        if (-1e-9..=1.0 + 1e-9).contains(&fraction) {
            ticks.push((fraction, significant(value, 3)));
        }
    };
    if axis.log10 {
        let (low, high) = (axis.low.log10(), axis.high.log10());
        if high - low >= 1.0 {
            let stride = ((high - low) / wanted).ceil().max(1.0);
            let mut decade = (low / stride).ceil() * stride;
            while decade <= high + 1e-9 {
                // Written as text so that 1e-3 is 0.001 and not 0.0010000000000000002.
                put(format!("1e{decade:.0}").parse().unwrap_or(f64::NAN));
                decade += stride;
            }
            return ticks;
        }
    }
    let step = nice_step((axis.high - axis.low) / wanted);
    if !(step > 0.0 && step.is_finite()) {
        return ticks;
    }
    let mut index = (axis.low / step - 1e-9).ceil();
    while index * step <= axis.high + 1e-9 * step {
        put(index * step);
        index += 1.0;
    }
    ticks
}

/// The nearest of 1, 2, 5 times a power of ten at or above.
pub(super) fn nice_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let rest = step / power;
    power
        * if rest <= 1.0 {
            1.0
        } else if rest <= 2.0 {
            2.0
        } else if rest <= 5.0 {
            5.0
        } else {
            10.0
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = PhaseAxis {
            parameter: Parameter::Beta,
            low: 1e-3,
            high: 10.0,
            log10: true,
        };
        let labels: Vec<String> = ticks(&axis, 6).into_iter().map(|tick| tick.1).collect();
        assert_eq!(labels, ["0.001", "0.01", "0.1", "1", "10"]);
        let axis = PhaseAxis {
            low: -0.3,
            high: 0.3,
            log10: false,
            ..axis
        };
        let labels: Vec<String> = ticks(&axis, 6).into_iter().map(|tick| tick.1).collect();
        assert_eq!(labels, ["−0.3", "−0.2", "−0.1", "0", "0.1", "0.2", "0.3"]);
    }
}
