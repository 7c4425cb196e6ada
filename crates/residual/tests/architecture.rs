//! The networks against the papers: exact parameters, multiply-adds, receptive fields, shapes.

use residual::graph::Summary;
use residual::models::options::{Head, Shortcut, Stem, StrideIn};
use residual::models::{Model, ModelOptions, Spec, registry, summary};
use residual::plan::Plan;

fn options(name: &str) -> ModelOptions {
    ModelOptions { name: name.into(), ..ModelOptions::default() }
}

fn of(options: &ModelOptions) -> Summary {
    summary(options).expect("a network of the papers")
}

#[test]
fn vgg_has_the_parameters_and_multiply_adds_of_its_paper() {
    let counts = [
        ("vgg-a", 132_863_336, 7.609),
        ("vgg-a-lrn", 132_863_336, 7.609),
        ("vgg-b", 133_047_848, 11.308),
        ("vgg-c", 133_638_952, 11.771),
        ("vgg-d", 138_357_544, 15.470),
        ("vgg-e", 143_667_240, 19.632),
        ("vgg-a-bn", 132_868_840, 7.609),
        ("vgg-b-bn", 133_053_736, 11.308),
        ("vgg-c-bn", 133_647_400, 11.771),
        ("vgg-d-bn", 138_365_992, 15.470),
        ("vgg-e-bn", 143_678_248, 19.632),
    ];
    for (name, params, gmacs) in counts {
        let net = of(&options(name));
        assert_eq!(net.params, params, "{name}");
        assert!((net.macs as f64 / 1e9 - gmacs).abs() < 5e-4, "{name}: {}", net.macs);
    }
}

#[test]
fn cifar_vgg_has_one_fully_connected_layer() {
    for (name, params, mmacs) in [("vgg19_bn", 20_040_522, 398.1), ("vgg16_bn", 14_728_266, 313.2)] {
        let net = of(&ModelOptions { input: Some(32), classes: Some(10), ..options(name) });
        assert_eq!(net.params, params, "{name}");
        assert!((net.macs as f64 / 1e6 - mmacs).abs() < 0.05, "{name}: {}", net.macs);
    }
}

#[test]
fn resnet_has_the_parameters_of_each_shortcut_option() {
    let counts = [
        ("resnet-18", Shortcut::A, 11_515_688),
        ("resnet-18", Shortcut::B, 11_689_512),
        ("resnet-18", Shortcut::C, 12_043_816),
        ("resnet-34", Shortcut::A, 21_623_848),
        ("resnet-34", Shortcut::B, 21_797_672),
        ("resnet-34", Shortcut::C, 22_716_840),
        ("resnet-50", Shortcut::B, 25_557_032),
        ("resnet-101", Shortcut::B, 44_549_160),
        ("resnet-152", Shortcut::B, 60_192_808),
    ];
    for (name, shortcut, params) in counts {
        let net = of(&ModelOptions { shortcut: Some(shortcut), ..options(name) });
        assert_eq!(net.params, params, "{name} {shortcut:?}");
    }
    assert_eq!(of(&options("plain-18")).params, 11_515_688);
    assert_eq!(of(&options("plain-34")).params, 21_623_848);
}

#[test]
fn resnet_costs_what_the_paper_says_with_the_stride_in_either_place() {
    let costs = [
        ("resnet-18", StrideIn::Conv3x3, 1.814),
        ("resnet-34", StrideIn::Conv3x3, 3.664),
        ("resnet-50", StrideIn::Conv1x1, 3.858),
        ("resnet-50", StrideIn::Conv3x3, 4.089),
        ("resnet-101", StrideIn::Conv1x1, 7.570),
        ("resnet-101", StrideIn::Conv3x3, 7.801),
        ("resnet-152", StrideIn::Conv1x1, 11.282),
        ("resnet-152", StrideIn::Conv3x3, 11.514),
    ];
    for (name, stride_in, gmacs) in costs {
        let net = of(&ModelOptions { stride_in, ..options(name) });
        assert!((net.macs as f64 / 1e9 - gmacs).abs() < 5e-4, "{name} {stride_in:?}: {}", net.macs);
    }
}

#[test]
fn cifar_networks_have_the_paper_s_parameters_by_option_and_plain() {
    let counts = [
        (20, 269_722, 272_474, 40.6),
        (32, 464_154, 466_906, 68.9),
        (44, 658_586, 661_338, 97.2),
        (56, 853_018, 855_770, 125.5),
        (110, 1_727_962, 1_730_714, 252.9),
        (1202, 19_421_274, 19_424_026, 2829.0),
    ];
    for (depth, a, b, mmacs) in counts {
        let name = format!("resnet-{depth}");
        let net = of(&options(&name));
        assert_eq!(net.params, a, "{name}");
        assert!((net.macs as f64 / 1e6 - mmacs).abs() < mmacs * 5e-4 + 0.05, "{name}: {}", net.macs);
        assert_eq!(of(&ModelOptions { shortcut: Some(Shortcut::B), ..options(&name) }).params, b, "{name} B");
        assert_eq!(of(&options(&format!("plain-{depth}"))).params, a, "plain-{depth}");
    }
    assert_eq!(of(&options("resnet-cifar-26")).name, "resnet-cifar-26");
}

#[test]
fn resnet_with_a_cifar_stem_is_the_one_that_cifar_repositories_train() {
    let at_32 = |name| ModelOptions { input: Some(32), classes: Some(10), ..options(name) };
    for (name, params, mmacs) in [("resnet-18", 11_173_962, 555.4), ("resnet-50", 23_520_842, 1297.8)] {
        let net = of(&at_32(name));
        assert_eq!(net.params, params, "{name}");
        assert!((net.macs as f64 / 1e6 - mmacs).abs() < 0.6, "{name}: {}", net.macs);
    }
}

#[test]
fn receptive_fields_are_those_worked_out_by_hand() {
    let vgg = of(&options("vgg-d"));
    let field = |name: &str| vgg.layers.iter().find(|l| l.name == name).and_then(|l| l.receptive_field);
    assert_eq!(field("features.28"), Some(196), "the last convolution");
    assert_eq!((field("features.30"), vgg.receptive_field), (Some(212), 212), "the last pooling");
    for (name, field) in [("resnet-18", 435), ("resnet-34", 899), ("resnet-50", 427)] {
        assert_eq!(of(&options(name)).receptive_field, field, "{name}");
    }
    // Three 3x3 convolutions see what one 7x7 sees (VGG §2.3).
    let three: Vec<_> =
        vgg.layers.iter().filter(|l| l.name.starts_with("features.") && l.kind.to_string() == "conv3x3").collect();
    assert_eq!(three[1].receptive_field, Some(5));
    let b = of(&options("vgg-e"));
    let group: Vec<_> =
        b.layers.iter().filter(|l| l.kind.to_string() == "conv3x3").filter_map(|l| l.receptive_field).collect();
    let jump = 4; // Two poolings lie before the third group.
    assert_eq!((group[7] - group[4]) / jump, 6, "three more 3x3: six more pixels of the map");
}

#[test]
fn every_network_of_the_registry_names_as_many_tensors_as_it_counts() {
    for entry in registry() {
        if entry.name.ends_with("1202") {
            continue; // The same code as 110, and half a minute of walking.
        }
        let spec = Spec::resolve(&options(&entry.name)).expect("a registered network");
        let shapes = spec.graph().tensors();
        let trainable = shapes.iter().filter(|(name, _)| !name.contains("running_"));
        let values: usize = trainable.map(|(_, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!(values as u64, spec.summary().params, "{}", entry.name);
        let names: std::collections::BTreeSet<_> = shapes.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), shapes.len(), "{}: a name stands twice", entry.name);
    }
}

#[test]
fn tensors_carry_torchvision_s_names() {
    let names = |name: &str| {
        let spec = Spec::resolve(&options(name)).expect("a registered network");
        let shapes = spec.graph().tensors();
        shapes.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let resnet = names("resnet-50");
    for name in [
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.conv3.weight",
        "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.running_mean",
        "layer4.2.bn3.bias",
        "fc.bias",
    ] {
        assert!(resnet.iter().any(|n| n == name), "{name} in {resnet:?}");
    }
    let vgg = names("vgg16");
    assert!(
        ["features.0.weight", "features.28.bias", "classifier.0.weight", "classifier.6.bias"]
            .iter()
            .all(|name| vgg.iter().any(|n| n == name))
    );
    assert!(names("vgg16_bn").iter().any(|name| name == "features.41.running_mean"));
}

#[test]
fn forward_passes_end_in_the_shapes_that_summaries_promise() {
    let cases = [
        ModelOptions { input: Some(32), classes: Some(7), ..options("resnet-20") },
        ModelOptions { input: Some(28), channels: Some(1), classes: Some(10), ..options("plain-20") },
        ModelOptions { input: Some(33), classes: Some(3), shortcut: Some(Shortcut::C), ..options("resnet-18") },
        ModelOptions { input: Some(40), classes: Some(3), shortcut: Some(Shortcut::A), ..options("resnet-50") },
        ModelOptions { input: Some(45), stem: Stem::Imagenet, stride_in: StrideIn::Conv1x1, ..options("resnet-50") },
        ModelOptions { input: Some(47), classes: Some(10), ..options("vgg-a-lrn") },
        ModelOptions { input: Some(32), classes: Some(10), channels: Some(1), ..options("vgg-c-bn") },
        ModelOptions { input: Some(64), classes: Some(5), ..options("vgg-a") },
    ];
    for options in cases {
        let spec = Spec::resolve(&options).expect("an input that it can take");
        let [h, w, c] = spec.input;
        let model = Model::initialised(spec, 1);
        let summary = model.spec.summary();
        let last = summary.layers.iter().rfind(|layer| layer.receptive_field.is_some()).expect("a map");
        let shapes = model.graph().shapes_at(h, w).expect("its own size");
        let node = model.graph().nodes().iter().position(|node| node.name == last.name).expect("a node for each layer");
        assert_eq!(shapes[node], last.output, "{}", summary.name);
        let logits = Plan::new(&model, 2, true).logits(&vec![1.0; 2 * h * w * c], [2, h, w]).expect("images").len();
        assert_eq!(logits, 2 * summary.classes, "{}", summary.name);
    }
}

#[test]
fn an_input_too_small_is_refused_with_the_smallest_that_works() {
    for (options, smallest) in [
        (ModelOptions { input: Some(28), ..options("vgg-d") }, "32 px"),
        (ModelOptions { input: Some(31), stem: Stem::Imagenet, ..options("resnet-18") }, "32 px"),
        (ModelOptions { input: Some(3), ..options("resnet-20") }, "4 px"),
    ] {
        let error = Spec::resolve(&options).expect_err("too small");
        assert!(error.hint().is_some_and(|hint| hint.contains(smallest)), "{error} {:?}", error.hint());
    }
}

#[test]
fn what_the_paper_lacks_is_refused() {
    for wrong in [
        ModelOptions { shortcut: Some(Shortcut::A), ..options("plain-20") },
        ModelOptions { shortcut: Some(Shortcut::A), ..options("vgg-a") },
        ModelOptions { stem: Stem::Imagenet, ..options("resnet-20") },
        ModelOptions { dropout: 1.5, ..options("vgg-a") },
        options("resnet-cifar-21"),
    ] {
        assert!(Spec::resolve(&wrong).is_err(), "{wrong:?}");
    }
    let error = Spec::resolve(&options("resnte-18")).expect_err("a slip");
    assert!(error.hint().is_some_and(|hint| hint.contains("resnet-18")), "{:?}", error.hint());
}

#[test]
fn names_are_found_without_hyphens_and_by_their_aliases() {
    for (typed, name) in [
        ("resnet18", "resnet-18"),
        ("vgg16", "vgg-d"),
        ("VGG19_bn", "vgg-e-bn"),
        ("vggalrn", "vgg-a-lrn"),
        ("plain_56", "plain-56"),
        ("resnetcifar20", "resnet-20"),
    ] {
        assert_eq!(of(&options(typed)).name, name);
    }
}

#[test]
fn a_spec_s_options_resolve_to_the_same_spec() {
    for options in [
        ModelOptions { input: Some(64), head: Head::Imagenet, ..options("vgg-b-bn") },
        ModelOptions { input: Some(96), stem: Stem::Cifar, ..options("resnet-34") },
        options("resnet-110"),
    ] {
        let spec = Spec::resolve(&options).expect("possible");
        assert_eq!(Spec::resolve(&spec.options()).expect("its own options"), spec);
    }
}
