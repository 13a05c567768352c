//! Properties over random stories, crashes included.

use proptest::prelude::*;

use crate::model::engine::Engine;
use crate::model::stimulus::{self, Settings, Stimulus};
use crate::model::{settle::End, show};

/// A story as a person reads it.
fn told(engine: &Engine) -> String {
    let line = |record: &nymvisor::machine::Record| {
        format!(
            "{:>4} {} -> {}",
            record.seq,
            show::event(&record.event),
            show::effects(&record.effects)
        )
    };
    engine.records.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn play(settings: Settings, story: &[Stimulus]) -> Result<Engine, TestCaseError> {
    let mut engine = Engine::new(settings.policy());
    let failed = |why: String, engine: &Engine| {
        TestCaseError::fail(format!("{why}\n{}\n{}", told(engine), show::state(&engine.state)))
    };
    if let Err(why) = engine.start(settings.policy()) {
        return Err(failed(why, &engine));
    }
    for stimulus in story {
        if let Err(why) = engine.happen(stimulus) {
            return Err(failed(format!("{why}\nat {stimulus:?}"), &engine));
        }
    }
    Ok(engine)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    /// Every turn of every story is checked by the model: replay equals live, rejected events
    /// change nothing, failure counts follow the oracle, never two daemons, no commit without
    /// check and backup, no exit but at rest.
    #[test]
    fn no_story_breaks_a_promise(
        settings in stimulus::settings(),
        story in proptest::collection::vec(stimulus::any(), 0..150),
    ) {
        let engine = play(settings, &story)?;
        prop_assert_eq!(engine.replayed().unwrap(), engine.state);
    }

    #[test]
    fn without_further_faults_every_story_comes_to_rest(
        settings in stimulus::settings(),
        story in proptest::collection::vec(stimulus::any(), 0..150),
    ) {
        let mut engine = play(settings, &story)?;
        match engine.settle() {
            Ok(End::Runs | End::Exited(_)) => {}
            Err(why) => {
                let state = show::state(&engine.state);
                return Err(TestCaseError::fail(format!("{why}\n{}\n{state}", told(&engine))));
            }
        }
    }
}
