use super::*;
use crate::error::{Kind, Result};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Recipe> {
    Recipe::parse(text, "my.toml", &[])
}

fn complaint(text: &str) -> (String, String) {
    let error = parse(text).expect_err(text);
    assert_eq!(error.kind(), Kind::Recipe, "{error}");
    (error.to_string(), error.hint().unwrap_or_default().to_string())
}

fn sets(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| s.to_string()).collect()
}

fn cifar() -> DataFacts {
    DataFacts {
        input: 32,
        channels: 3,
        classes: 10,
        train: 45_000,
        validation: 5_000,
        mean: vec![0.5, 0.5, 0.5],
        std: vec![0.25, 0.25, 0.25],
    }
}

#[test]
fn every_shipped_recipe_parses_resolves_and_comes_back_the_same() {
    for recipe in shipped() {
        let parsed = Recipe::load(recipe.name, &[]).unwrap_or_else(|e| panic!("{}: {e}", recipe.name));
        let facts = DataFacts { input: parsed.model.input.unwrap_or(32), ..cifar() };
        let resolved = parsed.resolve(&facts).unwrap_or_else(|e| panic!("{}: {e}", recipe.name));
        let text = resolved.written().to_toml().expect("writes");
        let read = Recipe::parse(&text, "resolved", &[]).expect("parses");
        assert_eq!(&read, resolved.written(), "{text}");
        assert_eq!(read.resolve(&facts).expect("resolves"), resolved, "resolving twice changes nothing");
    }
}

#[test]
fn a_resolved_recipe_writes_every_key_that_applies() {
    let resolved = Recipe::load("cifar10-resnet18", &[]).and_then(|r| r.resolve(&cifar())).expect("resolves");
    let text = resolved.written().to_toml().expect("writes");
    for key in ["validation = 5000", "classes = 10", "input = 32", "clip_norm = 0.0", "peak = 0.2", "ema = 0.0"] {
        assert!(text.contains(key), "{key} in\n{text}");
    }
}

#[test]
fn the_quick_recipe_is_the_baseline_of_pytorch() {
    let recipe = Recipe::load("cifar10-resnet20-quick.toml", &[]).expect("parses");
    assert_eq!(recipe.data.validation, Some(0));
    let recipe = recipe.resolve(&DataFacts { train: 50_000, validation: 0, ..cifar() }).expect("resolves");
    assert_eq!((recipe.train.steps_per_epoch, recipe.train.steps), (390, 3900));
    let lr = |step| recipe.schedule.lr(step, &Default::default());
    assert!((lr(0) - 0.02).abs() < 1e-12 && (lr(779) - 0.2).abs() < 1e-12 && (lr(3899) - 2e-5).abs() < 1e-12);
}

#[test]
fn an_unknown_key_names_its_line_and_the_nearest_key() {
    let (message, hint) = complaint("[train]\nepochs = 3\n\n[optimizer]\nmomentun = 0.9\n");
    assert_eq!(message, "my.toml:5: unknown key optimizer.momentun");
    assert_eq!(hint, "did you mean optimizer.momentum?");
    // A key of another section is found there.
    let (_, hint) = complaint("[train]\nepochs = 3\nweight_decay = 0.1\n");
    assert_eq!(hint, "did you mean optimizer.weight_decay?");
}

#[test]
fn an_unknown_section_names_its_line_and_the_nearest_section() {
    let (message, hint) = complaint("[train]\nepochs = 3\n[optimiser]\nlr = 1\n");
    assert_eq!(message, "my.toml:3: unknown section [optimiser]");
    assert_eq!(hint, "did you mean [optimizer]?");
    assert_eq!(complaint("lr = 1\n").1, "lr belongs under [optimizer]");
    assert_eq!(complaint("train = 1\n").1, "write [train] and its keys below it");
}

#[test]
fn a_wrong_type_names_line_and_key() {
    for (text, wanted) in [
        ("[train]\nbatch = \"big\"", "my.toml:2: train.batch: invalid type: string \"big\", expected a whole number"),
        ("[train]\nepochs = -1", "my.toml:2: train.epochs: invalid value: integer -1, expected a whole number"),
        ("[optimizer]\n\nlr = true", "my.toml:3: optimizer.lr: invalid type: boolean true, expected a number"),
        ("[optimizer]\nnesterov = 1", "my.toml:2: optimizer.nesterov: invalid type: integer 1, expected true or false"),
        ("[schedule]\nmilestones = 5", "my.toml:2: schedule.milestones: invalid type: integer 5, expected a list"),
    ] {
        let (message, _) = complaint(text);
        assert!(message.starts_with(wanted), "{message}");
    }
    let (message, hint) = complaint("[schedule]\nkind = \"cosin\"");
    assert!(
        message.starts_with("my.toml:2: schedule.kind: unknown value cosin, expected one of constant"),
        "{message}"
    );
    assert_eq!(hint, "did you mean schedule.kind = \"cosine\"?");
}

#[test]
fn text_that_is_not_toml_names_the_line() {
    let (message, _) = complaint("[train]\nepochs = 3\nbatch = = 4\n");
    assert!(message.starts_with("my.toml:3: "), "{message}");
    let (message, _) = complaint("[train]\nepochs = 3\nepochs = 4\n");
    assert!(message.starts_with("my.toml:3: duplicate key"), "{message}");
}

#[test]
fn impossible_values_are_refused_with_their_line() {
    for (section, line, key) in [
        ("train", "batch = 0", "train.batch"),
        ("train", "accumulate = 0", "train.accumulate"),
        ("train", "epochs = 0", "train.epochs"),
        ("train", "ema = 1.0", "train.ema"),
        ("optimizer", "lr = -0.1", "optimizer.lr"),
        ("optimizer", "lr = 0", "optimizer.lr"),
        ("optimizer", "lr = nan", "optimizer.lr"),
        ("optimizer", "momentum = 1.0", "optimizer.momentum"),
        ("optimizer", "weight_decay = -1e-4", "optimizer.weight_decay"),
        ("optimizer", "clip_norm = inf", "optimizer.clip_norm"),
        ("loss", "label_smoothing = 1.0", "loss.label_smoothing"),
        ("augment", "lighting = -0.1", "augment.lighting"),
        ("augment", "scale = [480, 256]", "augment.scale"),
        ("augment", "resized_crop = [0.5, 0.2]", "augment.resized_crop"),
        ("augment", "resized_crop = [0.5, 1.5]", "augment.resized_crop"),
        ("augment", "aspect = [0.75, 1.5]", "augment.aspect"),
        ("augment", "size = 176", "augment.size"),
        ("augment", "strength = 9", "augment.strength"),
        ("augment", "operations = 0", "augment.operations"),
        ("augment", "jitter = [0.4, 0.4, 0.4, 0.6]", "augment.jitter"),
        ("augment", "jitter = [-0.4, 0.4, 0.4, 0.1]", "augment.jitter"),
        ("augment", "erasing = 1.1", "augment.erasing"),
        ("augment", "repeats = 0", "augment.repeats"),
        ("augment", "repeats = 3", "augment.repeats"),
        ("loss", "mix_off_epoch = 3", "loss.mix_off_epoch"),
        ("model", "classes = 1", "model.classes"),
        ("model", "dropout = 1.5", "model.dropout"),
        ("model", "input = 0", "model.input"),
        ("data", "std = [0.1, 0.0, 0.1]", "data.std"),
        ("data", "mean = [0.1]", "data.mean"),
        ("data", "scale = 0", "data.scale"),
        ("data", "test = \"dense\"", "data.test"),
        ("optimizer", "bias_lr = 0", "optimizer.bias_lr"),
        ("schedule", "milestones = [5, 5]", "schedule.milestones"),
        ("schedule", "warmup_start = 2", "schedule.warmup_start"),
        ("schedule", "hold_lr = 0.01", "schedule.hold_lr"),
    ] {
        let kind = if line.starts_with("milestones") { "kind = \"multi-step\"\n" } else { "" };
        let epochs = if line.starts_with("epochs") { "" } else { "[train]\nepochs = 1\n" };
        let text = if section == "train" {
            format!("[train]\n{}{line}\n", epochs.strip_prefix("[train]\n").unwrap_or_default())
        } else {
            format!("{epochs}[{section}]\n{kind}{line}\n")
        };
        let (message, _) = complaint(&text);
        let number = 1 + text.lines().position(|l| l == line).expect("the line is there");
        assert!(message.starts_with(&format!("my.toml:{number}: {key} ")), "{text}{message}");
    }
}

#[test]
fn epochs_and_steps_exclude_each_other() {
    let (message, _) = complaint("[train]\nepochs = 3\nsteps = 100\n");
    assert_eq!(message, "my.toml:3: train.steps excludes epochs; give one of the two");
    assert!(complaint("[train]\nbatch = 3\n").0.contains("give one of the two"));
}

#[test]
fn a_key_of_another_schedule_is_refused() {
    let (message, hint) = complaint("[train]\nepochs = 1\n[schedule]\nkind = \"cosine\"\nmilestones = [4]\n");
    assert_eq!(message, "my.toml:5: schedule.milestones does not apply to kind = \"cosine\"");
    assert_eq!(hint, "cosine takes final, warmup_steps, warmup_start, hold_lr, hold_error");
}

#[test]
fn plateau_without_validation_is_refused() {
    let text = "[train]\nepochs = 1\n[data]\nvalidation = 0\n[schedule]\nkind = \"plateau\"\n";
    assert!(complaint(text).0.contains("my.toml:6: schedule.kind"));
}

#[test]
fn overrides_replace_values_and_need_no_quotes() {
    let overrides = sets(&[
        "optimizer.lr=0.05",
        "model.name=resnet-32",
        "model.stride_in=1x1",
        "data.mean=[0, 0, 0]",
        "data.std=[1, 1, 1]",
        "train.winograd=false",
        "data.source=/my images/a=b",
    ]);
    let recipe = Recipe::load("shapes-resnet20", &overrides).expect("parses");
    assert_eq!(recipe.optimizer.lr, 0.05);
    assert_eq!(recipe.model.name, "resnet-32");
    assert_eq!(recipe.model.stride_in, crate::models::options::StrideIn::Conv1x1);
    assert_eq!(recipe.data.mean, Some(vec![0.0; 3]));
    assert!(!recipe.train.winograd);
    assert_eq!(recipe.data.source, "/my images/a=b");
    assert_eq!(Recipe::load("shapes-resnet20", &[]).and_then(|r| r.with(&overrides)).expect("parses"), recipe);
}

#[test]
fn the_earlier_name_of_winograd_is_refused_when_typed_and_read_when_stored() {
    let text = "[train]\nepochs = 1\nprecise = true\n";
    let (message, hint) = complaint(text);
    assert_eq!(message, "my.toml:3: train.precise is now train.winograd");
    assert_eq!(hint, "winograd = false is what precise = true was");
    let error = Recipe::load("shapes-resnet20", &sets(&["train.precise=true"])).expect_err("an old name");
    assert_eq!(error.to_string(), "--set train.precise=true: train.precise is now train.winograd");
    let winograd = |text| Recipe::parse_stored(text, "recipe").expect("parses").train.winograd;
    assert_eq!([winograd(text), winograd("[train]\nepochs = 1\nprecise = false\n")], [false, true]);
}

#[test]
fn an_override_of_an_alternative_replaces_the_other() {
    let recipe = Recipe::load("shapes-resnet20", &sets(&["train.steps=20"])).expect("parses");
    assert_eq!((recipe.train.epochs, recipe.train.steps), (None, Some(20)));
    let recipe = Recipe::load("cifar10-resnet20-paper", &sets(&["schedule.kind=one-cycle"])).expect("parses");
    assert_eq!((recipe.schedule.milestones, recipe.schedule.factor), (None, None));
    let error = Recipe::load("shapes-resnet20", &sets(&["train.steps=20", "train.epochs=1"])).expect_err("both");
    assert!(error.to_string().starts_with("--set train.steps=20: train.steps excludes epochs"), "{error}");
}

#[test]
fn a_wrong_override_is_named() {
    for (set, message, hint) in [
        ("optimizer.momentun=0.9", "unknown key optimizer.momentun", "did you mean optimizer.momentum?"),
        ("optimiser.lr=0.9", "unknown section [optimiser]", "did you mean [optimizer]?"),
        ("train.batch=0", "train.batch must be at least 1, not 0", ""),
        ("optimizer.lr=-1", "optimizer.lr must be a number above 0, not -1", ""),
        ("optimizer.lr=fast", "optimizer.lr: invalid type: string \"fast\", expected a number", ""),
        ("lr", "is not of the form section.key=value", "did you mean optimizer.lr?"),
        ("speed=1", "is not of the form section.key=value", "for example --set optimizer.lr=0.05"),
    ] {
        let error = Recipe::load("shapes-resnet20", &sets(&[set])).expect_err(set);
        assert_eq!(error.to_string(), format!("--set {set}: {message}"));
        assert_eq!(error.hint().unwrap_or_default(), hint);
        assert_eq!(error.kind(), Kind::Usage);
    }
}

#[test]
fn a_recipe_that_is_not_there_is_an_error_with_the_nearest_name() {
    let error = Recipe::load("recipes/cifar10-resnet20-quik.toml", &[]).expect_err("absent");
    assert_eq!(error.to_string(), "no recipe at recipes/cifar10-resnet20-quik.toml");
    assert_eq!(error.hint(), Some("did you mean the built-in recipe cifar10-resnet20-quick?"));
}

#[test]
fn resolving_takes_what_the_data_says_and_refuses_contradictions() {
    let resolve =
        |overrides: &[&str]| Recipe::load("cifar10-resnet18", &sets(overrides)).and_then(|r| r.resolve(&cifar()));
    let resolved = resolve(&[]).expect("resolves");
    assert_eq!((resolved.data.validation, resolved.network.classes, resolved.network.input), (5_000, 10, [32, 32, 3]));
    for (set, wanted) in [
        ("model.classes=5", "model.classes = 5, but the data has 10"),
        ("model.input=64", "model.input = 64, but the data has 32"),
    ] {
        assert_eq!(resolve(&[set]).expect_err(set).to_string(), wanted);
    }
    let gray = DataFacts { channels: 1, ..cifar() };
    let error = Recipe::load("cifar10-resnet18", &[]).and_then(|r| r.resolve(&gray)).expect_err("three means");
    assert_eq!(error.to_string(), "data.mean has 3 values, but the images have 1 channels");
}

#[test]
fn default_recipes_fit_network_and_source() {
    let recipe = Recipe::default_for("cifar10", "resnet-56").expect("parses");
    assert_eq!((recipe.model.name.as_str(), recipe.data.validation), ("resnet-56", None));
    assert_eq!(Recipe::default_for("mnist", "vgg-a-bn").expect("parses").augment.flip, Flip::None);
    assert_eq!(Recipe::default_for("cifar10", "vgg-a").expect("parses").optimizer.lr, 0.01);
    for (network, input) in [("resnet-20", 32), ("plain-cifar-26", 32), ("resnet-50", 224), ("vgg16_bn", 224)] {
        assert_eq!(shipped::native_input(network), input, "{network}");
    }
}

#[test]
fn a_folder_of_images_is_brought_to_the_size_of_the_network() {
    let folder = tempfile::tempdir().expect("a folder");
    let class = folder.path().join("train").join("cat");
    std::fs::create_dir_all(&class).expect("a class");
    let source = folder.path().to_string_lossy();
    assert_eq!(Recipe::default_for(&source, "resnet-18").expect("parses").model.input, None, "no image yet");
    std::fs::write(class.join("1.JPG"), []).expect("an image");
    let recipe = |network| Recipe::default_for(&source, network).expect("parses");
    let large = recipe("resnet-18");
    assert_eq!((large.model.input, large.augment.pad_crop, large.train.batch), (Some(224), 28, 32));
    let small = recipe("resnet-20");
    assert_eq!((small.model.input, small.augment.pad_crop, small.train.batch), (Some(32), 4, 128));
    // Squares as small as CIFAR's keep their size.
    let square = |side| image::RgbImage::new(side, side).save(class.join("1.png")).expect("writable");
    std::fs::remove_file(class.join("1.JPG")).expect("there");
    square(48);
    let kept = recipe("resnet-18");
    assert_eq!((kept.model.input, kept.augment.pad_crop, kept.train.batch), (Some(48), 6, 128));
    square(65);
    assert_eq!(recipe("resnet-18").model.input, Some(224));
}

#[test]
fn random_crops_replace_shifts_and_a_schedule_beyond_the_end_of_the_run_is_reported() {
    let recipe = Recipe::load("cifar10-resnet20-paper", &["augment.resized_crop=[0.5, 1.0]".into()]).expect("a recipe");
    assert_eq!(recipe.augment.pad_crop, 0);
    let unreached = |set: &[&str]| {
        let recipe = Recipe::load("cifar10-resnet20-paper", &sets(set)).expect("a recipe");
        recipe.resolve(&DataFacts { train: 50_000, ..cifar() }).expect("resolves").unreached()
    };
    let late = unreached(&["train.epochs=10"]);
    assert_eq!(late.as_deref(), Some("the run ends at step 3900, before the milestones 32000, 48000"));
    assert_eq!(unreached(&[]), None);
    let warm = unreached(&["schedule.warmup_steps=500", "train.steps=400"]);
    assert_eq!(warm.as_deref(), Some("the warm-up (500 steps) is not shorter than the run (400 steps)"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_valid_recipe_survives_toml(
        lr in 1e-8f64..10.0, momentum in 0.0f64..0.999, decay in 0.0f64..1.0, ema in 0.0f64..0.9999,
        batch in 1usize..4096, seed in 0u64..=i64::MAX as u64, epochs in 1u64..1000, kind in 0usize..5,
        milestones in proptest::collection::btree_set(1u64..1_000_000, 0..5), train_size in 5_001usize..50_000,
        source in "[a-z \"'\\\\=#\n]{0,12}x",
    ) {
        let kinds = ["constant", "multi-step", "cosine", "one-cycle", "plateau"];
        let mut overrides = vec![format!("schedule.kind={}", kinds[kind])];
        if kind == 1 {
            overrides.push(format!("schedule.milestones={milestones:?}").replace(['{'], "[").replace('}', "]"));
        }
        let mut recipe = Recipe::load("cifar10-resnet18", &overrides).expect("parses");
        recipe.optimizer.lr = lr;
        recipe.optimizer.momentum = momentum;
        recipe.optimizer.nesterov = momentum > 0.0;
        recipe.optimizer.weight_decay = decay;
        recipe.train.ema = ema;
        recipe.train.batch = batch;
        recipe.train.seed = seed;
        recipe.train.epochs = Some(epochs);
        recipe.data.train_size = train_size;
        recipe.data.source = source;
        recipe.augment.scale = (batch % 2 == 0).then_some([32, 32 + batch]);
        recipe.augment.resized_crop = (batch % 2 == 1).then_some([momentum / 2.0 + 1e-3, 1.0]);
        recipe.augment.size = (batch % 3 == 0).then_some(32);
        recipe.augment.policy = [PolicyKind::None, PolicyKind::RandAugment, PolicyKind::TrivialAugmentWide][kind % 3];
        recipe.augment.strength = (kind % 3 == 1).then_some(batch as u32 % 31);
        recipe.augment.jitter = [decay, decay, momentum, momentum / 2.0];
        recipe.augment.lighting = decay;
        let resolved = recipe.resolve(&cifar()).expect("resolves");
        let text = resolved.written().to_toml().expect("writes");
        prop_assert_eq!(&Recipe::parse(&text, "resolved", &[]).expect("parses"), resolved.written());
    }
}
