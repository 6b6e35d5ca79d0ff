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
        let stride = if policy.width(1).is_some() { 7 } else { 1 };
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
