//! The gateway's figures, read as Prometheus reads them.

use super::Failure;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Samples of one scrape.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics(Vec<Sample>);

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Asks the gateway.
    pub(super) async fn fetch(client: &reqwest::Client, http: SocketAddr) -> Result<Self, Failure> {
        let answer = client.get(format!("http://{http}/metrics")).send().await?.error_for_status()?;
        Ok(Self::parse(&answer.text().await?))
    }

    /// Reads the text exposition format 0.0.4; lines that are none of it are passed over.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// Sum of the samples of `name` whose labels have all the given values; a value ending in `*` is a beginning.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, wanted)| {
                    sample.labels.get(*label).is_some_and(|value| match wanted.strip_suffix('*') {
                        Some(beginning) => value.starts_with(beginning),
                        None => value == wanted,
                    })
                })
        };
        self.0.iter().filter(fits).map(|sample| sample.value).sum::<f64>() as u64
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = match line.split_once('}') {
        Some((series, value)) => (series, value),
        None => line.split_once(' ')?,
    };
    let value = value.split_whitespace().next()?.parse().ok()?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    // Label values here are ids and words: they hold no comma, quote or brace.
    let labels = labels.split(',').filter_map(|pair| pair.trim().split_once('='));
    let labels = labels.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect();
    Some(Sample { name: name.trim().to_owned(), labels, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_name_and_labels() {
        let metrics = Metrics::parse(
            "# HELP a_total x\n# TYPE a_total counter\na_total{bus=\"m-1\",kind=\"x\"} 3\n\
             a_total{bus=\"m-2\",kind=\"y\"} 4.0 1700000000000\na_total{bus=\"n\"} 5\nb 7\nnonsense\n",
        );
        assert_eq!(metrics.sum("a_total", &[]), 12);
        assert_eq!(metrics.sum("a_total", &[("bus", "m-*")]), 7);
        assert_eq!(metrics.sum("a_total", &[("bus", "m-2"), ("kind", "y")]), 4);
        assert_eq!(metrics.sum("a_total", &[("kind", "z")]), 0);
        assert_eq!(metrics.sum("b", &[]), 7);
    }
}
