//! Files of a guest, kept by the kernel: Landlock.

use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use lota_script::Result;

use super::refused;

/// The newest interface that this code was written for; older kernels hold as much of it as they have.
const INTERFACE: ABI = ABI::V6;

/// Gives up, for this thread and those it starts, all files outside `roots` and all network. Where all files are granted, only the
/// network. The text says which interface of the kernel holds; none where it has none.
pub(super) fn restrict(roots: Option<&[PathBuf]>) -> Result<Option<String>> {
    let failed = |e: landlock::RulesetError| refused("Landlock", &e);
    let mut rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    if roots.is_some() {
        rules = rules.handle_access(AccessFs::from_all(INTERFACE)).map_err(failed)?;
    }
    let rules = rules
        .handle_access(AccessNet::from_all(INTERFACE))
        .map_err(failed)?
        .scope(Scope::from_all(INTERFACE))
        .map_err(failed)?
        .create()
        .map_err(failed)?;
    // What is granted is read and written; no file in it is a program that may be run.
    let access = AccessFs::from_all(INTERFACE) & !AccessFs::Execute;
    let granted = path_beneath_rules(roots.unwrap_or_default(), access);
    let status = rules.add_rules(granted).map_err(failed)?.restrict_self().map_err(failed)?;
    if roots.is_none() || status.ruleset == RulesetStatus::NotEnforced {
        return Ok(None);
    }
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => format!("{effective_abi:?}"),
        _ => "on".into(),
    };
    Ok(Some(version))
}
