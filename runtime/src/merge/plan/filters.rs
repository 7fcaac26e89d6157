//! Filters of parameters that fit no tensor's name: most often a slip of the pen, told as a notice.

use serde_json::Value;

use super::{Job, Task};
use crate::merge::config::Config;

/// A notice for each filter of the configuration that is part of no tensor's name, neither in the result nor in a model.
pub(super) fn unused(config: &Config, jobs: &[Job]) -> Vec<String> {
    let names: Vec<&str> = jobs.iter().flat_map(names_of).collect();
    let mut notices = Vec::new();
    for (parameter, setting) in config.settings().into_iter().flatten() {
        let mut filters = Vec::new();
        collect(setting, &mut filters);
        for filter in filters.into_iter().filter(|f| !names.iter().any(|name| name.contains(f))) {
            let text = format!(
                "parameter {parameter:?}: the filter {filter:?} is part of no tensor's name, so its value is never used"
            );
            if !notices.contains(&text) {
                notices.push(text);
            }
        }
    }
    notices
}

fn names_of(job: &Job) -> impl Iterator<Item = &str> {
    let feeds = match &job.task {
        Task::Merge { feeds, .. } => feeds.as_slice(),
        Task::Copy { feed, .. } => std::slice::from_ref(feed),
    };
    std::iter::once(job.name.as_str()).chain(feeds.iter().map(|feed| feed.name.as_str()))
}

/// The filters of a setting, in the order they are written; `*` fits everything.
fn collect<'v>(setting: &'v Value, filters: &mut Vec<&'v str>) {
    match setting {
        Value::Array(items) => items.iter().for_each(|item| collect(item, filters)),
        Value::Object(item) => {
            filters.extend(item.get("filter").and_then(Value::as_str).filter(|f| *f != "*"));
            item.values().for_each(|value| collect(value, filters));
        }
        _ => {}
    }
}
