//! The tables of both papers: `resnet.toml` and `vgg.toml`, read once.

use super::experiment::Experiment;
use residual::error::{Error, Result, nearest};
use serde::Deserialize;
use std::sync::OnceLock;

/// The file of one paper.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paper {
    experiment: Vec<Experiment>,
}

/// Returns all experiments, paper by paper, in the order of the tables.
pub fn experiments() -> &'static [Experiment] {
    static ALL: OnceLock<Vec<Experiment>> = OnceLock::new();
    ALL.get_or_init(|| {
        let files = [include_str!("resnet.toml"), include_str!("vgg.toml")];
        let parse = |text| toml::from_str::<Paper>(text).expect("a test reads the tables").experiment;
        files.into_iter().flat_map(parse).collect()
    })
}

/// Returns the experiments that `id` names: one, or all below it (`resnet/t3`).
///
/// # Errors
/// Fails if there is no such experiment; the hint names the nearest.
pub fn find(id: &str) -> Result<Vec<&'static Experiment>> {
    let id = id.trim_end_matches('/');
    if let Some(exact) = experiments().iter().find(|experiment| experiment.id == id) {
        return Ok(vec![exact]);
    }
    let below = format!("{id}/");
    let found: Vec<_> = experiments().iter().filter(|experiment| experiment.id.starts_with(&below)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let error = Error::usage(format!("there is no experiment called {id}"));
    let near = nearest(id, experiments().iter().map(|experiment| experiment.id.as_str()));
    Err(match near {
        Some(near) => error.with_hint(format!("did you mean {near}? `residual reproduce` lists all of them")),
        None => error.with_hint("`residual reproduce` lists all of them"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::Scale;

    #[test]
    fn every_row_reads_and_its_recipes_are_sound_at_both_scales() {
        for experiment in experiments() {
            assert!(!experiment.parts.is_empty(), "{}", experiment.id);
            for part in &experiment.parts {
                assert!(experiment.tolerance(part) >= 0.0, "{}", experiment.id);
                let values = [part.paper, part.reference, part.at_least].iter().flatten().count();
                assert_eq!(values, 1, "{}: one value to compare {} with", experiment.id, part.name());
                assert_eq!(part.reference.is_some(), part.source.is_some(), "{}: a source", experiment.id);
            }
            if !experiment.filter_stacks.is_empty() {
                experiment.filter_stack_recipe(Some("shapes")).expect("a recipe");
            }
            if experiment.is_count() {
                assert!(experiment.parts.iter().all(|part| part.count.or(experiment.count).is_some()));
                continue;
            }
            for part in &experiment.parts {
                experiment.views(part).expect("protocols that there are");
                for member in part.members() {
                    for scale in [Scale::Full, Scale::Quick] {
                        let recipe = experiment.recipe(&member, scale, None, 3).expect("a recipe");
                        assert_eq!((recipe.train.seed, Some(&recipe.model.name)), (3, member.network.as_ref()));
                    }
                }
            }
        }
    }

    #[test]
    fn ids_are_unique_and_twins_and_claims_name_what_there_is() {
        let mut ids: Vec<&str> = experiments().iter().map(|experiment| experiment.id.as_str()).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
        for experiment in experiments() {
            if let Some(baseline) = &experiment.baseline {
                assert!(ids.contains(&baseline.as_str()), "{baseline}");
            }
            for name in experiment.claims.iter().flatten() {
                let parts = experiment.parts.iter().filter(|part| part.is_called(name)).count();
                let stacks = experiment.filter_stacks.iter().filter(|stack| stack.name == *name).count();
                assert_eq!(parts + stacks, 1, "{}: {name}", experiment.id);
            }
        }
    }

    #[test]
    fn an_id_names_one_experiment_or_all_below_it_and_a_slip_is_recognised() {
        assert_eq!(find("resnet/t6/n=3").expect("one").len(), 1);
        assert_eq!(find("resnet/t6/").expect("a table").len(), 11);
        assert_eq!(find("vgg/t3/D").expect("a row").len(), 3);
        let hint = find("resnet/t6/n=4").expect_err("none").hint().map(str::to_owned);
        assert!(hint.is_some_and(|hint| hint.starts_with("did you mean resnet/t6/n=")));
    }

    #[test]
    fn the_recipe_of_table_6_is_that_of_the_paper() {
        let experiment = find("resnet/t6/n=18").expect("one")[0];
        let recipe = experiment.recipe(experiment.main(), Scale::Full, None, 0).expect("a recipe");
        assert_eq!((recipe.train.steps, recipe.train.batch, recipe.optimizer.lr), (Some(64_000), 128, 0.1));
        assert_eq!((recipe.schedule.hold_lr, recipe.model.name.as_str()), (Some(0.01), "resnet-110"));
    }
}
