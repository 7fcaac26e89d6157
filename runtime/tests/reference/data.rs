//! What tests need that is not part of the project, and what becomes of a test that does not find it: it is reported as
//! ignored, never as passed.
//!
//! `LOTA_TEST_SHARED` names a folder with `oracles/` in it, `LOTA_TEST_SMOLLM2` the GGUF file of SmolLM2-135M-Instruct. With
//! CI=true both are looked for where `.ci/run` has them, too, so that no test is left out whose data is there.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

/// Something a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The folder of reference values.
    Shared,
    /// The model's file.
    SmolLm2,
}

impl Need {
    /// The variable that names it, and where it usually is, from the project's folder.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Shared => ("LOTA_TEST_SHARED", "../shared"),
            Self::SmolLm2 => ("LOTA_TEST_SMOLLM2", "target/models/SmolLM2-135M-Instruct.Q4_1.gguf"),
        }
    }

    /// Where it is, if it is there. A variable that names nothing is a mistake, and no reason to leave a test out.
    fn find(self) -> Option<PathBuf> {
        let (variable, usual) = self.names();
        if let Some(named) = std::env::var_os(variable).map(PathBuf::from) {
            assert!(named.exists(), "{variable} names {}, which is not there", named.display());
            return Some(named);
        }
        let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let usual = above.find(|folder| folder.join("Cargo.lock").exists())?.join(usual);
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        (ci && usual.exists()).then_some(usual)
    }

    /// Where it is.
    pub fn path(self) -> PathBuf {
        self.find().unwrap_or_else(|| panic!("this test needs what {} names", self.names().0))
    }
}

/// A test that needs some data: ignored where one of it is missing.
pub fn trial(name: &str, needs: &[Need], test: fn()) -> Trial {
    let missing = needs.iter().any(|need| need.find().is_none());
    Trial::test(name, move || {
        test();
        Ok(())
    })
    .with_ignored_flag(missing)
}

/// Whether every step of every run is compared: with `LOTA_TEST_TRAJECTORY=1`, as `.ci/evidence` does. Without it a test
/// follows as much as tells a fault from rounding, since the whole takes many minutes.
pub fn whole_trajectories() -> bool {
    std::env::var_os("LOTA_TEST_TRAJECTORY").is_some_and(|v| v == "1")
}
