//! Whole sessions at a terminal: what is typed, what is printed, which exit code. `TRYCMD=overwrite cargo test -p
//! residual-cli --test sessions` writes down what is printed now.

#[test]
fn sessions_print_what_they_did() {
    trycmd::TestCases::new().env("RESIDUAL_ISA", "portable").case("tests/sessions/*.trycmd");
}
