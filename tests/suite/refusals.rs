//! `validate` refuses exactly what `run` and the window would, and says where it stands in the file.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::{fs, path::Path, process::Command};

use assert_cmd::cargo::cargo_bin;
use modescope::{
    engine::{Session, check_file},
    experiment::{
        Advantage, Arms, Features, KlEstimator, KlPenalty, Optimizer, PolicyFamily, Preset, Start,
        Update, builtin_preset, parse_preset, to_ron,
    },
    theory::{Anchor, Direction, Mara, MaraAlgorithm, Threshold},
};

const BANDIT: &str = r#"(
    format: 1,
    title: "A test",
    bandit: (
        arms: Line(count: 4),
        reference: Weights([5, 3, 2, 1]),
        rewards: List([0.0, 1.0, 1.0, 0.5]),
    ),
    objective: (direction: Reverse, beta: 0.1),
    training: (learning_rate: 0.01),
)
"#;

/// Whether a text that says this is accepted, and whether a run of it starts, must be the same.
#[track_caller]
fn agrees(preset: &Preset, counts: &mut (usize, usize)) {
    let text = to_ron(preset);
    let accepted = parse_preset(&text);
    let built = Session::new(preset.clone(), None);
    match (&accepted, &built) {
        (Ok(_), Ok(_)) => counts.0 += 1,
        (Err(errors), Err(_)) => {
            counts.1 += 1;
            for mistake in errors.mistakes() {
                assert!(
                    mistake.place.is_some() && !mistake.field.is_empty(),
                    "{mistake}"
                );
            }
        }
        (Ok(_), Err(error)) => panic!("accepted, and a run fails with {error}:\n{text}"),
        (Err(errors), Ok(_)) => {
            panic!("a run starts, and the text is refused with {errors}:\n{text}")
        }
    }
}

fn families() -> Vec<PolicyFamily> {
    let mut families = vec![PolicyFamily::SoftmaxTable, PolicyFamily::Gaussian];
    families
        .extend([0, 1, 2, 64, 65].map(|components| PolicyFamily::GaussianMixture { components }));
    for features in [
        Features::Polynomial(0),
        Features::Polynomial(2),
        Features::Polynomial(17),
        Features::Fourier(1),
        Features::Fourier(65),
    ] {
        families.push(PolicyFamily::LinearSoftmax { features });
        for hidden in [
            vec![],
            vec![3],
            vec![3, 0],
            vec![1025],
            vec![2; 4],
            vec![2; 5],
        ] {
            families.push(PolicyFamily::Mlp { features, hidden });
        }
    }
    families
}

const PENALTIES: [KlPenalty; 7] = [
    KlPenalty::Matched,
    KlPenalty::Off,
    KlPenalty::ReferenceSamples,
    KlPenalty::InReward(KlEstimator::K3),
    KlPenalty::Loss(KlEstimator::K1),
    KlPenalty::Loss(KlEstimator::K3Plus),
    KlPenalty::Loss(KlEstimator::RhoK3),
];

const ADVANTAGES: [Advantage; 4] = [
    Advantage::None,
    Advantage::MeanBaseline,
    Advantage::LeaveOneOut,
    Advantage::GroupNormalised,
];

fn updates() -> Vec<Update> {
    let mut updates = vec![Update::Exact, Update::NaturalGradient];
    for batch in [0, 1, 2, 65_536, 65_537] {
        updates.push(Update::Dap { batch });
        updates.extend(ADVANTAGES.map(|advantage| Update::Sampled {
            batch,
            advantage,
            kl: KlPenalty::Matched,
        }));
    }
    updates.extend(PENALTIES.map(|kl| Update::Sampled {
        batch: 8,
        advantage: Advantage::MeanBaseline,
        kl,
    }));
    updates
}

#[test]
fn a_bandit_is_accepted_where_its_trainer_can_be_built_and_nowhere_else() {
    let base = parse_preset(BANDIT).unwrap();
    let mut counts = (0, 0);
    let grid = Arms::Grid {
        rows: 2,
        columns: 2,
        x_range: None,
        y_range: None,
    };
    for policy in families() {
        // A network is fitted to its start, which takes its time.
        let stride = if policy.width(1).is_some() { 17 } else { 1 };
        for update in updates()
            .into_iter()
            .step_by(stride)
            .chain([Update::NaturalGradient])
        {
            for arms in [&base.bandit.arms, &grid] {
                let mut preset = base.clone();
                preset.training.policy = policy.clone();
                preset.training.update = update;
                preset.bandit.arms = arms.clone();
                agrees(&preset, &mut counts);
            }
        }
    }
    for optimizer in [
        Optimizer::Sgd,
        Optimizer::Momentum { momentum: 0.0 },
        Optimizer::Momentum { momentum: 1.0 },
        Optimizer::Momentum { momentum: f64::NAN },
        Optimizer::Adam {
            beta1: 0.0,
            beta2: 0.0,
            epsilon: 1e-300,
        },
        Optimizer::Adam {
            beta1: -0.1,
            beta2: 0.9,
            epsilon: 1e-8,
        },
        Optimizer::Adam {
            beta1: 0.9,
            beta2: 1.0,
            epsilon: 1e-8,
        },
        Optimizer::Adam {
            beta1: 0.9,
            beta2: 0.9,
            epsilon: 0.0,
        },
        Optimizer::Adam {
            beta1: 0.9,
            beta2: 0.9,
            epsilon: f64::INFINITY,
        },
    ] {
        for start in [
            Start::Reference,
            Start::Uniform,
            Start::Given(vec![1.0, 2.0, 3.0, 4.0]),
            Start::Given(vec![0.0, 0.0, 1e300, 0.0]),
            Start::Given(vec![1e-320, 0.0, 0.0, 1e308]),
            Start::Given(vec![0.0; 4]),
            Start::Given(vec![1.0; 3]),
            Start::Given(vec![1.0, -1.0, 1.0, 1.0]),
            Start::Given(vec![1.0, f64::NAN, 1.0, 1.0]),
        ] {
            for learning_rate in [1e-300, 0.1, 1e300, 0.0, -1.0, f64::NAN, f64::INFINITY] {
                let mut preset = base.clone();
                preset.training.optimizer = optimizer;
                preset.training.start = start.clone();
                preset.training.learning_rate = learning_rate;
                agrees(&preset, &mut counts);
            }
        }
    }
    assert!(counts.0 > 200 && counts.1 > 300, "{counts:?}");
}

#[test]
fn an_objective_is_accepted_where_it_has_a_target_and_nowhere_else() {
    let base = parse_preset(BANDIT).unwrap();
    let mut counts = (0, 0);
    let mut maras = vec![None];
    for threshold in [
        Threshold::Constant(0.8),
        Threshold::Constant(f64::NAN),
        Threshold::Percentile(0.5),
        Threshold::Percentile(1.0),
        Threshold::Percentile(1.5),
        Threshold::Percentile(-0.1),
    ] {
        for algorithm in [
            None,
            Some(MaraAlgorithm::AugmentReward),
            Some(MaraAlgorithm::SwapRewardAndReference),
        ] {
            for anchor in [Anchor::Batch, Anchor::RunningMaximum, Anchor::Exact] {
                maras.extend([false, true].map(|per_class| {
                    Some(Mara {
                        threshold,
                        algorithm,
                        anchor,
                        per_class,
                    })
                }));
            }
        }
    }
    for direction in [
        Direction::Reverse,
        Direction::Forward,
        Direction::Alpha(1.0),
        Direction::Alpha(0.0),
        Direction::Alpha(0.5),
        Direction::Alpha(2.0),
        Direction::Alpha(-3.0),
        Direction::Alpha(f64::NAN),
    ] {
        for entropy in [0.0, 0.1, -0.1, f64::INFINITY] {
            for mara in &maras {
                for kl in [
                    KlPenalty::Matched,
                    KlPenalty::Loss(KlEstimator::K2),
                    KlPenalty::ReferenceSamples,
                ] {
                    let mut preset = base.clone();
                    preset.objective.direction = direction;
                    preset.objective.entropy = entropy;
                    preset.objective.mara = *mara;
                    preset.training.update = Update::Sampled {
                        batch: 8,
                        advantage: Advantage::LeaveOneOut,
                        kl,
                    };
                    agrees(&preset, &mut counts);
                }
            }
        }
    }
    assert!(counts.0 > 500 && counts.1 > 500, "{counts:?}");
}

#[test]
fn a_language_task_is_accepted_where_its_trainer_can_be_built_and_nowhere_else() {
    let base = builtin_preset("lm-digit").unwrap();
    let prompts = base.language.as_ref().unwrap().prompts.len();
    let mut counts = (0, 0);
    let mut one = |change: &dyn Fn(&mut Preset)| {
        let mut preset = base.clone();
        change(&mut preset);
        agrees(&preset, &mut counts);
    };
    one(&|_| {});
    for policy in [
        PolicyFamily::Gaussian,
        PolicyFamily::LinearSoftmax {
            features: Features::Fourier(2),
        },
    ] {
        one(&|preset| preset.training.policy = policy.clone());
    }
    for start in [Start::Uniform, Start::Given(vec![1.0, 2.0])] {
        one(&|preset| preset.training.start = start.clone());
    }
    for optimizer in [Optimizer::Sgd, Optimizer::Momentum { momentum: 0.5 }] {
        one(&|preset| preset.training.optimizer = optimizer);
    }
    for update in [
        Update::Exact,
        Update::NaturalGradient,
        Update::Dap { batch: prompts },
        Update::Dap { batch: prompts - 1 },
        Update::Sampled {
            batch: prompts.max(2),
            advantage: Advantage::GroupNormalised,
            kl: KlPenalty::Loss(KlEstimator::K3),
        },
        Update::Sampled {
            batch: 1,
            advantage: Advantage::LeaveOneOut,
            kl: KlPenalty::Off,
        },
    ] {
        one(&|preset| preset.training.update = update);
    }
    for direction in [Direction::Forward, Direction::Alpha(0.5)] {
        for entropy in [0.0, 0.1] {
            one(&|preset| {
                preset.objective.direction = direction;
                preset.objective.entropy = entropy;
            });
        }
    }
    assert!(counts.0 >= 6 && counts.1 >= 9, "{counts:?}");
}

/// Standard output of `validate` and standard error of `run` on a file.
fn both(path: &Path) -> (String, String) {
    let output = |args: &[&str]| {
        let output = Command::new(cargo_bin!("modescope"))
            .args(args)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let shown = path.to_str().unwrap();
    (
        output(&["validate", shown]).0,
        output(&["run", shown, "--steps", "1"]).1,
    )
}

/// The mistakes that a change of the test preset brings about, as `validate` tells them, without the file's name.
fn told(old: &str, new: &str) -> Vec<String> {
    assert!(BANDIT.contains(old), "{old}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoilt.ron");
    fs::write(&path, BANDIT.replacen(old, new, 1)).unwrap();
    fs::write(
        folder.path().join("bad.csv"),
        "reward,reference\n1,1\ntwo,-2\n3,x\n4,4\n",
    )
    .unwrap();
    let (validated, ran) = both(&path);
    let start = format!("{}:", path.display());
    let lines: Vec<String> = validated
        .lines()
        .map(|line| line.strip_prefix(&start).unwrap_or(line).to_owned())
        .collect();
    // What can run must not be refused; what cannot says where.
    let first = lines.first().map_or("", String::as_str);
    if first.ends_with("no mistakes") {
        return Vec::new();
    }
    if !first.contains(": expectations.") {
        assert!(
            ran.contains(&format!("{start}{first}")),
            "run: {ran}\nvalidate: {validated}"
        );
        assert_eq!(
            ran.lines().count(),
            1 + usize::from(ran.contains("no stop rule")),
            "{ran}"
        );
    }
    lines
}

#[test]
fn what_shows_late_has_the_place_of_its_field() {
    for (old, new, wanted) in [
        (
            "beta: 0.1",
            "beta: 0.1, reward_scale: 1e308, reward_offset: 1e308",
            &["9:84: objective.reward_offset: 1e308 is not accepted here: "][..],
        ),
        ("beta: 0.1", "beta: 0.1, entropy: 0.1", &[]),
        (
            "direction: Reverse, beta: 0.1",
            "direction: Alpha(0.5), beta: 0.1, entropy: 0.1",
            &["9:60: objective.entropy: 0.1 beside direction: Alpha(0.5) is not accepted; 0 is"],
        ),
        (
            "1.0, 1.0, 0.5]),\n    ),\n    objective: (direction: Reverse, beta: 0.1",
            "100.0, 1.0, 0.5]),\n    ),\n    objective: (direction: Reverse, beta: 0.1, reward_scale: 1e307",
            &[
                "9:62: objective.reward_scale: 1e307 is not accepted here: effective reward inf of arm 1",
            ],
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "List([-1e308, 1e308, 1.0, 0.5])",
            &["7:18: bandit.rewards: rewards reach from -1e308 to 1e308"],
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "Formula(\"1 + log(2 - i)\")",
            &["7:31: bandit.rewards: logarithm of zero at arm 2 in `log(2 - i)`"],
        ),
        (
            "Weights([5, 3, 2, 1])",
            "Csv(path: \"bad.csv\")",
            &["6:20: bandit.reference: ", "6:20: bandit.reference: "],
        ),
        (
            "learning_rate: 0.01",
            "policy: Gaussian, update: NaturalGradient",
            &[
                "10:42: training.update: NaturalGradient beside policy: Gaussian is not accepted; it is beside SoftmaxTable",
            ],
        ),
        (
            "count: 4",
            "count: 1000000",
            // The lists are of another length as well.
            &[
                "6:20: bandit.reference: a list of 4",
                "7:18: bandit.rewards: a list of 4",
            ],
        ),
    ] {
        let found = told(old, new);
        assert_eq!(found.len(), wanted.len(), "{new}: {found:#?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.starts_with(wanted), "{found}\n{wanted}");
        }
    }
}

#[test]
fn networks_too_large_for_their_arms_are_refused_before_anything_is_allocated() {
    let big = |policy: &str, arms: &str| {
        let text = BANDIT
            .replace("Line(count: 4)", arms)
            .replace("Weights([5, 3, 2, 1])", "Constant(1)")
            .replace("List([0.0, 1.0, 1.0, 0.5])", "Zipf(exponent: 1)")
            .replace("learning_rate: 0.01", &format!("policy: {policy}"));
        parse_preset(&text).map_err(|errors| errors.to_string())
    };
    // (features + units + 1) times arms up to 50,000,000.
    for (policy, arms, wanted) in [
        (
            "Mlp(features: Fourier(64), hidden: [1024])",
            "Line(count: 1000000)",
            Some("1153 features and units on 1000000 arms"),
        ),
        (
            "LinearSoftmax(features: Fourier(64))",
            "Line(count: 387596)",
            None,
        ),
        (
            "LinearSoftmax(features: Fourier(64))",
            "Line(count: 387597)",
            Some("129 features"),
        ),
        // 64 · 65 · 2 features on a grid.
        (
            "LinearSoftmax(features: Fourier(64))",
            "Grid(rows: 100, columns: 60)",
            None,
        ),
        (
            "LinearSoftmax(features: Fourier(64))",
            "Grid(rows: 100, columns: 61)",
            Some("8321 features"),
        ),
        (
            "LinearSoftmax(features: Polynomial(16))",
            "Grid(rows: 1000, columns: 326)",
            None,
        ),
        (
            "LinearSoftmax(features: Polynomial(16))",
            "Grid(rows: 1000, columns: 327)",
            Some("153 features"),
        ),
        (
            "GaussianMixture(components: 64)",
            "Line(count: 1000000)",
            None,
        ),
    ] {
        match (big(policy, arms), wanted) {
            (Ok(_), None) => {}
            (Err(told), Some(wanted)) => {
                assert!(
                    told.contains("10:24: training.policy: ") && told.contains(wanted),
                    "{told}"
                );
                assert!(told.contains("is not accepted; at most "), "{told}");
            }
            (result, _) => panic!("{policy} {arms}: {result:?}"),
        }
    }
}

#[test]
fn the_changes_of_expectations_are_checked_as_files_are() {
    let given = |given: &str| {
        let training = "    training: (learning_rate: 0.01),\n";
        let line = format!(
            "    expectations: [(says: \"s\", given: [{given}], quantity: TargetPeak, between: (0, 1))],\n"
        );
        told(training, &format!("{training}{line}"))
    };
    assert_eq!(given(""), [""; 0]);
    assert_eq!(
        given("\"objective.beta=0.5\", \"training.seed=4\""),
        [""; 0]
    );
    // In either order, as only what they make together counts.
    for pair in [
        "\"training.update=NaturalGradient\", \"training.policy=SoftmaxTable\"",
        "\"bandit.arms.count=2\", \"bandit.rewards=Constant(1)\", \"bandit.reference=Constant(1)\"",
    ] {
        assert_eq!(given(pair), [""; 0]);
    }
    for (list, wanted) in [
        (
            "\"objective.foo=1\"",
            &[
                "11:40: expectations.0.given.0: “objective.foo=1” is not accepted; objective.foo: unknown field; ",
            ][..],
        ),
        (
            "\"objective.beta=0.5\", \"objective.beta=fast\", \"training.seed=-1\"",
            &[
                "11:62: expectations.0.given.1: “objective.beta=fast” is not accepted; objective.beta: `fast` is not accepted",
                "11:85: expectations.0.given.2: “training.seed=-1” is not accepted; training.seed: `-1`",
            ],
        ),
        (
            "\"training.policy=Gaussian\", \"training.update=NaturalGradient\"",
            &[
                "11:68: expectations.0.given.1: “training.update=NaturalGradient” is not accepted; training.update: NaturalGradient beside",
            ],
        ),
        (
            "\"bandit.rewards=Formula(\\\"1 / i\\\")\"",
            &[
                "11:40: expectations.0.given.0: “bandit.rewards=Formula(\"1 / i\")” is not accepted; bandit.rewards: division by zero",
            ],
        ),
        (
            "\"objective.reward_scale=1e308\", \"objective.reward_offset=1e308\"",
            &["11:72: expectations.0.given.1: "],
        ),
        (
            "\"objective.beta\"",
            &["11:40: expectations.0.given.0: “objective.beta” is not accepted; "],
        ),
    ] {
        let found = given(list);
        assert_eq!(found.len(), wanted.len(), "{list}: {found:#?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.starts_with(wanted), "{found}\n{wanted}");
        }
    }
}

#[test]
fn an_expectation_that_an_edit_left_behind_does_not_keep_a_preset_from_running() {
    let training = "    training: (learning_rate: 0.01),\n";
    let expectation = "    expectations: [(says: \"s\", given: [\"objective.mara.algorithm=AugmentReward\"], quantity: TargetMass(3), \
                       between: (0, 1)), (says: \"s\", given: [\"bandit.arms.count=2\", \"bandit.rewards=Constant(1)\", \
                       \"bandit.reference=Constant(1)\"], quantity: TargetMass(3), between: (0, 1))],\n";
    let text = BANDIT.replace(training, &format!("{training}{expectation}"));
    assert_ne!(text, BANDIT);
    parse_preset(&text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stale.ron");
    fs::write(&path, text).unwrap();
    let (validated, ran) = both(&path);
    let wanted = [
        "expectations.0.given.0: “objective.mara.algorithm=AugmentReward” is not accepted; objective.mara.threshold: field is missing",
        "expectations.1.quantity: arm 3 is not accepted; arms 0 to 1 are",
    ];
    assert_eq!(validated.lines().count(), wanted.len(), "{validated}");
    for (line, wanted) in validated.lines().zip(wanted) {
        assert!(line.contains(wanted), "{line}");
    }
    assert_eq!(ran, "");
}

#[test]
fn two_formulas_and_a_table_tell_all_that_is_wrong_with_them() {
    let found = told(
        "Weights([5, 3, 2, 1]),\n        rewards: List([0.0, 1.0, 1.0, 0.5])",
        "Formula(\"foo + bar(1)\"),\n        rewards: Formula(\"é + sin(1, 2)\")",
    );
    let wanted = [
        "6:29: bandit.reference: unknown name `foo`",
        "6:35: bandit.reference: unknown name `bar`",
        "7:27: bandit.rewards: unknown name `é`",
        "7:31: bandit.rewards: `sin` takes 1 argument, 2 given",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found}\n{wanted}");
    }
    let found = told("List([0.0, 1.0, 1.0, 0.5])", "Csv(path: \"bad.csv\")");
    assert!(
        found.len() == 1 && found[0].contains("bad.csv line 3, column “reward”: “two”"),
        "{found:#?}"
    );
    let found = told("Weights([5, 3, 2, 1])", "Csv(path: \"bad.csv\")");
    assert!(
        found[0]
            .contains("line 3, column “reference”: “-2” is not accepted; a finite number ≥ 0 is"),
        "{found:#?}"
    );
    assert!(
        found[1].contains("line 4, column “reference”: “x”"),
        "{found:#?}"
    );
}

const TARGET: &[&str] = &[
    "target",
    "--reference",
    "0.5,0.5",
    "--rewards",
    "0,1",
    "--beta",
    "0.1",
];
const RUN: &[&str] = &["run", "figure-3"];

/// A command, a flag, its value, the exit code, and words of the message.
type Case<'a> = (&'a [&'a str], &'a str, &'a str, i32, &'a [&'a str]);

#[test]
fn every_flag_says_which_values_it_takes() {
    let cases: [Case<'_>; 41] = [
        (
            TARGET,
            "--reference",
            "",
            2,
            &[
                "--reference",
                "''",
                "numbers separated by commas are accepted",
            ],
        ),
        (
            TARGET,
            "--reference",
            "0.5,",
            2,
            &[
                "--reference",
                "''",
                "numbers separated by commas are accepted",
            ],
        ),
        (
            TARGET,
            "--reference",
            "0.5,0.4",
            1,
            &["reference", "sum to 0.9", "must sum to 1"],
        ),
        (
            TARGET,
            "--reference",
            "-0.5,1.5",
            1,
            &["reference", "-0.5 of arm 0", "finite numbers ≥ 0"],
        ),
        (
            TARGET,
            "--rewards",
            "1,a",
            2,
            &[
                "--rewards",
                "'a'",
                "numbers separated by commas are accepted",
            ],
        ),
        (
            TARGET,
            "--rewards",
            "1,inf",
            1,
            &["rewards", "inf (arm 1)", "finite numbers"],
        ),
        (
            TARGET,
            "--rewards",
            "1",
            1,
            &["rewards", "1 numbers", "one per arm is"],
        ),
        (
            TARGET,
            "--rewards",
            "1e308,-1e308",
            1,
            &[
                "rewards, with reward_scale 1",
                "-1e308 to 1e308",
                "must stay below",
            ],
        ),
        (
            TARGET,
            "--beta",
            "x",
            2,
            &["--beta", "'x'", "a finite number above 0 is accepted"],
        ),
        (
            TARGET,
            "--beta",
            "",
            2,
            &["--beta", "''", "a finite number above 0 is accepted"],
        ),
        (
            TARGET,
            "--beta",
            "0",
            1,
            &["beta: 0", "a finite number above 0"],
        ),
        (
            TARGET,
            "--direction",
            "up",
            2,
            &["--direction", "'up'", "accepted: reverse, forward"],
        ),
        (
            TARGET,
            "--alpha",
            "x",
            2,
            &["--alpha", "'x'", "a finite number is accepted"],
        ),
        (
            TARGET,
            "--alpha",
            "nan",
            1,
            &["alpha: NaN", "a finite number"],
        ),
        (
            TARGET,
            "--entropy",
            "x",
            2,
            &["--entropy", "'x'", "a finite number ≥ 0 is accepted"],
        ),
        (
            TARGET,
            "--entropy",
            "-1",
            1,
            &["entropy: -1", "a finite number ≥ 0"],
        ),
        (
            TARGET,
            "--mara",
            "x",
            2,
            &["--mara", "'x'", "a finite number is accepted"],
        ),
        (
            TARGET,
            "--mara",
            "inf",
            1,
            &["mara threshold: inf", "a finite number"],
        ),
        (
            TARGET,
            "--mara-percentile",
            "x",
            2,
            &[
                "--mara-percentile",
                "'x'",
                "a number from 0 to 1 is accepted",
            ],
        ),
        (
            TARGET,
            "--mara-percentile",
            "2",
            1,
            &["mara percentile: 2", "a number from 0 to 1"],
        ),
        (
            TARGET,
            "--reward-scale",
            "x",
            2,
            &["--reward-scale", "'x'", "a finite number is accepted"],
        ),
        (
            TARGET,
            "--reward-scale",
            "1e400",
            1,
            &["reward_scale: inf", "a finite number"],
        ),
        (
            TARGET,
            "--reward-offset",
            "x",
            2,
            &["--reward-offset", "'x'", "a finite number is accepted"],
        ),
        (
            RUN,
            "--steps",
            "x",
            2,
            &[
                "--steps",
                "'x'",
                "a whole number from 0 to 18446744073709551615 is accepted",
            ],
        ),
        (
            RUN,
            "--steps",
            "-1",
            2,
            &["--steps", "'-1'", "a whole number from 0"],
        ),
        (
            RUN,
            "--seed",
            "x",
            2,
            &[
                "--seed",
                "'x'",
                "a whole number from 0 to 18446744073709551615 is accepted",
            ],
        ),
        (
            RUN,
            "--seed",
            "1.5",
            2,
            &["--seed", "'1.5'", "a whole number from 0"],
        ),
        (
            RUN,
            "--set",
            "objective.beta",
            1,
            &["`objective.beta`", "path=value"],
        ),
        (
            RUN,
            "--set",
            "objective.beta=x",
            1,
            &["objective.beta", "`x`", "a finite number above 0 is"],
        ),
        (
            RUN,
            "--set",
            "objective.bet=1",
            1,
            &["objective.bet", "did you mean `beta`"],
        ),
        (RUN, "--journal", "nowhere.jsonl", 1, &["nowhere.jsonl"]),
        (
            &["pretrain", "--out", "nowhere"],
            "--steps",
            "x",
            2,
            &["--steps", "'x'", "a whole number from 0"],
        ),
        (
            &["pretrain", "--out", "nowhere"],
            "--seed",
            "-1",
            2,
            &["--seed", "'-1'", "a whole number from 0"],
        ),
        (
            &["pretrain", "--out", "nowhere"],
            "--grammar",
            "nowhere.ron",
            1,
            &["nowhere.ron"],
        ),
        (
            &["gui"],
            "--after",
            "x",
            2,
            &["--after", "'x'", "from 0 to 86400 is accepted"],
        ),
        (
            &["gui"],
            "--size",
            "wide",
            2,
            &["--size", "'wide'", "1280x800"],
        ),
        (
            &["gui"],
            "--theme",
            "mauve",
            2,
            &["--theme", "'mauve'", "accepted: light, dark"],
        ),
        (
            &["completions"],
            "tcsh",
            "",
            2,
            &["tcsh", "bash, elvish, fish"],
        ),
        (&["model", "info"], "nowhere.gguf", "", 1, &["nowhere.gguf"]),
        (
            &["model", "fetch"],
            "a/b/c",
            "",
            1,
            &["a/b/c", "must look like"],
        ),
        (
            &["presets", "show"],
            "figure5",
            "",
            1,
            &["figure5", "figure-5"],
        ),
    ];
    for (command, flag, value, code, words) in cases {
        let mut args: Vec<&str> = command.to_vec();
        match args.iter().position(|arg| *arg == flag) {
            Some(at) => args[at + 1] = value,
            None if value.is_empty() => args.push(flag),
            None => args.extend([flag, value]),
        }
        let output = Command::new(cargo_bin!("modescope"))
            .args(&args)
            .env("MODESCOPE_MODELS_DIR", "/nonexistent")
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        let line = told.lines().last().unwrap_or_default();
        assert!(line.starts_with("modescope: "), "{args:?}: {told}");
        for word in words {
            assert!(line.contains(word), "{args:?}: {line} lacks {word}");
        }
    }
}

#[test]
fn every_kind_of_field_says_what_it_takes() {
    for (old, new, wanted) in [
        (
            "format: 1",
            "format: x",
            "2:13: format: `x` is not accepted; a whole number from 0 to 4294967295 is",
        ),
        (
            "\"A test\"",
            "3",
            "3:12: title: `3` is not accepted; a text in quotes is",
        ),
        (
            "\"A test\"",
            "\"a\\qb\"",
            "3:12: title: `\"a\\qb\"` is not accepted; a text in quotes is",
        ),
        (
            "count: 4",
            "count: -1",
            "5:27: bandit.arms.count: `-1` is not accepted; a whole number from 1 to 1000000 is",
        ),
        (
            "count: 4",
            "count: 1e3",
            "5:27: bandit.arms.count: `1e3` is not accepted; a whole number from 1 to 1000000 is",
        ),
        (
            "count: 4",
            "count: 4, range: (-1e308, 1e308)",
            "5:37: bandit.arms.range: (-1e308, 1e308) is not accepted; two finite numbers, the smaller one first and less than 1.7e308 apart, as their distance must be finite, are",
        ),
        (
            "count: 4",
            "count: 4, range: 5",
            "5:37: bandit.arms.range: `5` is not accepted; a pair such as (1.0, 1.0) is",
        ),
        (
            "Line(count: 4)",
            "Named([\"a\", 3])",
            "5:27: bandit.arms.1: `3` is not accepted; a text in quotes is",
        ),
        (
            "Line(count: 4)",
            "Cube",
            "5:15: bandit.arms: `Cube` is not accepted; one of Line(…), Grid(…), Named(…) is",
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "Constant(x)",
            "7:27: bandit.rewards: `x` is not accepted; a number is",
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "Constant(1e)",
            "7:27: bandit.rewards: `1e` is not accepted; a number is",
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "Constant(inf)",
            "7:18: bandit.rewards: inf is not accepted; a finite number is",
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "Bumps(bumps: [(x: 0, width: 0, height: 1)])",
            "7:46: bandit.rewards.bumps.0.width: 0 is not accepted; a finite number above 0 is",
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "Blocks(blocks: [(from: 2, to: 1, value: 1)])",
            "7:48: bandit.rewards.blocks.0.to: 1 is not accepted; an arm after `from`, which is 2, is",
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "PowerLaw(exponent: 1e9)",
            "7:37: bandit.rewards.exponent: 1000000000 is not accepted; a number from -1000 to 1000 is",
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "Random(seed: -1, noise: Normal(mean: 0, std: 1))",
            "7:31: bandit.rewards.seed: `-1` is not accepted; a whole number from 0 to 18446744073709551615 is",
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "Random(seed: 1, noise: Uniform(low: -1e308, high: 1e308))",
            "7:68: bandit.rewards.noise.high: 1e308 is not accepted; a number above `low`, which is -1e308, and less than 1.7e308 from it, as the width must be finite, is",
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "Csv(path: \"\")",
            "7:28: bandit.rewards.path: an empty path is not accepted; the name of a CSV file is",
        ),
        (
            "List([0.0, 1.0, 1.0, 0.5])",
            "Zipf(1)",
            "7:18: bandit.rewards: `Zipf(1)` is not accepted; `Zipf` is written as Zipf(exponent: 1.0)",
        ),
        (
            "0.5]),",
            "0.5]), modes: Detected(threshold: inf),",
            "7:73: bandit.modes.threshold: inf is not accepted; a finite number is",
        ),
        (
            "0.5]),",
            "0.5]), reward_edits: [(7, 1)],",
            "7:61: bandit.reward_edits.0: arm 7 is not accepted; arms 0 to 3 are",
        ),
        (
            "Reverse",
            "Alpha(1e9)",
            "9:28: objective.direction: 1000000000 is not accepted; a number from -100 to 100 is",
        ),
        (
            "beta: 0.1",
            "beta: 1e",
            "9:43: objective.beta: `1e` is not accepted; a finite number above 0 is",
        ),
        (
            "beta: 0.1",
            "beta: 0.1, reward_scale: inf",
            "9:62: objective.reward_scale: inf is not accepted; a finite number is",
        ),
        (
            "beta: 0.1",
            "beta: 0.1, mara: 3",
            "9:54: objective.mara: `3` is not accepted; a struct such as (threshold: Constant(1.0)) is",
        ),
        (
            "beta: 0.1",
            "beta: 0.1, mara: (threshold: Percentile(2))",
            "9:66: objective.mara.threshold: 2 is not accepted; a number from 0 to 1 is",
        ),
        (
            "beta: 0.1",
            "beta: 0.1, mara: (threshold: Constant(1), per_class: 1)",
            "9:90: objective.mara.per_class: `1` is not accepted; true or false is",
        ),
        (
            "learning_rate: 0.01",
            "seed: 99999999999999999999999",
            "10:22: training.seed: `99999999999999999999999` is not accepted; a whole number from 0 to 18446744073709551615 is",
        ),
        (
            "learning_rate: 0.01",
            "learning_rate: True",
            "10:31: training.learning_rate: `True` is not accepted; a number is",
        ),
        (
            "learning_rate: 0.01",
            "policy: Gaussian(3)",
            "10:24: training.policy: `Gaussian(3)` is not accepted; `Gaussian` is written as Gaussian",
        ),
        (
            "learning_rate: 0.01",
            "policy: Mlp(features: Fourier(1), hidden: [-8])",
            "10:59: training.policy.hidden.0: `-8` is not accepted; a whole number from 1 to 1024 is",
        ),
        (
            "learning_rate: 0.01",
            "policy: Mlp(features: Fourier(1), hidden: [])",
            "10:58: training.policy.hidden: a list of 0 layers is not accepted; 1 to 4 hidden layers are",
        ),
        (
            "learning_rate: 0.01",
            "update: Dap(batch: 1.5)",
            "10:35: training.update.batch: `1.5` is not accepted; a whole number from 1 to 65536 is",
        ),
        (
            "learning_rate: 0.01",
            "update: Sampled(batch: 4, advantage: None, kl: Loss(Qqq))",
            "10:68: training.update.kl: `Qqq` is not accepted; one of K1, K2, K3, K3Plus, RhoK3 is",
        ),
        (
            "learning_rate: 0.01",
            "optimizer: Momentum(momentum: 1)",
            "10:46: training.optimizer.momentum: 1 is not accepted; a number ≥ 0 and below 1 is",
        ),
        (
            "learning_rate: 0.01",
            "stop: (steps: -1)",
            "10:30: training.stop.steps: `-1` is not accepted; a whole number from 1 to 18446744073709551615 is",
        ),
        (
            "learning_rate: 0.01",
            "stop: 5",
            "10:22: training.stop: `5` is not accepted; a struct such as (steps: None) is",
        ),
        (
            "(learning_rate: 0.01)",
            "((((((((((((((((((((((((((((((((((((((((((((((((((",
            "10:63: training: is nested deeper than is accepted; values nest at most 48 levels, and a preset needs fewer than ten",
        ),
        (
            "Line(count: 4)",
            "Line(count: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
            "5:73: bandit.arms.count.0.0.0",
        ),
        (
            "Reverse, beta",
            "Reverse beta",
            "9:36: objective.direction: `beta` is not expected here; `,` or `)` is",
        ),
        (
            "beta: 0.1",
            "beta: ",
            "9:43: objective.beta: `)` is not expected here; a value is",
        ),
    ] {
        assert!(BANDIT.contains(old), "{old}");
        let errors = parse_preset(&BANDIT.replacen(old, new, 1)).unwrap_err();
        let told: Vec<String> = errors.mistakes().iter().map(ToString::to_string).collect();
        assert!(
            told.iter().any(|line| line.starts_with(wanted)),
            "{new}: {told:#?}\nwanted {wanted}"
        );
    }
}

#[test]
fn a_file_that_is_no_text_tells_its_first_bad_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes.ron");
    fs::write(&path, b"(\n    format: 1,\n    title: \"\xc3\xa9\xff\",\n)").unwrap();
    let (validated, ran) = both(&path);
    let wanted = format!(
        "{}:3:14: the byte 0xFF is not accepted here; text in UTF-8 is",
        path.display()
    );
    assert_eq!(validated.trim(), wanted);
    assert!(ran.contains(&wanted), "{ran}");
    assert_eq!(check_file(&path).unwrap_err().to_string(), wanted);
}

#[test]
fn a_text_full_of_mistakes_is_refused_at_once() {
    // Were every place looked for from the start of the text, these would take minutes.
    for item in ["x, ", "(from: 2, to: 1, value: 1), "] {
        let many = item.repeat(200_000);
        let new = match item {
            "x, " => format!("List([{many}])"),
            _ => format!("Blocks(blocks: [{many}])"),
        };
        let started = std::time::Instant::now();
        let errors = parse_preset(&BANDIT.replace("List([0.0, 1.0, 1.0, 0.5])", &new)).unwrap_err();
        assert!(
            errors.mistakes().len() <= 102,
            "{}",
            errors.mistakes().len()
        );
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}
