//! Which devices a topic belongs to, and which filters to subscribe.

use crate::config::Device;
use crate::profile::topic_matches;
use std::collections::{BTreeMap, HashMap};

/// The topics of the devices on one broker. Devices are named by their index.
#[derive(Debug, Default)]
pub(in crate::southbound) struct Routes {
    exact: HashMap<String, Vec<usize>>,
    wildcard: Vec<(String, Vec<usize>)>,
    filters: BTreeMap<String, usize>,
}

impl Routes {
    /// Asks every device's profile for its topics; the same filter of several devices is subscribed once.
    pub(in crate::southbound) fn new(devices: &[Device]) -> Self {
        let topics = devices.iter().map(|device| device.profile.topics(&device.address));
        Self::from_topics(topics)
    }

    fn from_topics(topics: impl Iterator<Item = Vec<String>>) -> Self {
        let mut routes = Self::default();
        let mut wildcard: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, filters) in topics.enumerate() {
            for filter in filters {
                let owners = if filter.contains(['+', '#']) {
                    wildcard.entry(filter.clone()).or_default()
                } else {
                    routes.exact.entry(filter.clone()).or_default()
                };
                if owners.last() != Some(&index) {
                    owners.push(index);
                }
                routes.filters.entry(filter).or_insert(index);
            }
        }
        routes.wildcard = wildcard.into_iter().collect();
        routes
    }

    /// Every filter once, with the first device that wants it.
    pub(in crate::southbound) fn filters(&self) -> impl Iterator<Item = (&str, usize)> {
        self.filters.iter().map(|(filter, index)| (filter.as_str(), *index))
    }

    /// The devices of a topic: those that name it exactly, else those with a wildcard filter that holds it.
    pub(in crate::southbound) fn devices_of(&self, topic: &str) -> Vec<usize> {
        if let Some(exact) = self.exact.get(topic) {
            return exact.clone();
        }
        let mut found: Vec<usize> = self
            .wildcard
            .iter()
            .filter(|(filter, _)| topic_matches(filter, topic))
            .flat_map(|(_, owners)| owners.iter().copied())
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_topics_come_before_wildcards_and_filters_are_merged() {
        let topics = [
            vec!["z/door", "z/door/availability"],
            vec!["face/1/Rec", "face/heartbeat"],
            vec!["face/2/Rec", "face/heartbeat", "face/heartbeat"],
            vec!["z/+"],
            vec!["lora/#", "lora/+/up"],
        ];
        let topics = topics.iter().map(|list| list.iter().map(ToString::to_string).collect());
        let routes = Routes::from_topics(topics);
        let cases: &[(&str, &[usize])] = &[
            ("z/door", &[0]),
            ("z/door/availability", &[0]),
            ("z/window", &[3]),
            ("z/window/availability", &[]),
            ("face/heartbeat", &[1, 2]),
            ("face/2/Rec", &[2]),
            ("lora/7/up", &[4]),
            ("$SYS/x", &[]),
            ("", &[]),
        ];
        for (topic, expected) in cases {
            assert_eq!(routes.devices_of(topic), *expected, "{topic}");
        }
        let filters: Vec<_> = routes.filters().collect();
        assert_eq!(filters.len(), 8);
        assert!(filters.contains(&("face/heartbeat", 1)), "the first device that wants it is named");
    }
}
