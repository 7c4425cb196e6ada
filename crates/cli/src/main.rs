//! `residual`: train, test, explain and ship VGG and ResNet image classifiers.

fn main() {}
