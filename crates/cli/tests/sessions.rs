//! Whole sessions at a terminal: commands, output and exit codes. `TRYCMD=overwrite cargo test -p
//! residual-cli --test sessions` records the current output.

#[test]
fn sessions_print_what_is_recorded() {
    trycmd::TestCases::new().env("RESIDUAL_ISA", "portable").case("tests/sessions/*.trycmd");
}
