//! scratch
use residual::recipe::Recipe;
use residual::train::{Event, RunOptions, run};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut r = Recipe::load(&args[1], &args[3..].to_vec()).unwrap();
    r = r.with(&[]).unwrap();
    let o = RunOptions { out: args[2].clone().into(), resume: false, skip_bad: false, stop: Default::default() };
    let mut sink = |e: &Event| {
        if !matches!(e, Event::Step { step, .. } if step % 20 != 0) {
            eprintln!("{e:?}")
        }
    };
    match run(&r, &o, &mut (), &mut sink) {
        Ok(r) => eprintln!("{r:?}"),
        Err(e) => eprintln!("error: {e} {:?}", e.hint()),
    }
}
