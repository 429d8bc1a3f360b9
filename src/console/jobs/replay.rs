//! The job `replay`: the rules, as the configuration has them now, on the stored past, beside what was raised then.

use super::office::{Bench, Outcome, Work, on_thread};
use crate::config;
use crate::console::Problem;
use crate::console::people::bad;
use crate::model::{Text, Wall};
use crate::store::StoreError;
use crate::trial::Episode;
use crate::work::past::Way;
use crate::work::replay::{Replay, Replayed, subject};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest stretch, milliseconds: a year.
const MOST_MS: i64 = 366 * 24 * 3_600_000;
/// Most alarms that are listed; further ones are counted.
const LISTED: usize = 2_000;
/// Most rules that are named.
const NAMED: usize = 1_000;
/// Most slips of a configuration that are told.
const SLIPS: usize = 5;
/// Pause between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(200);

/// Which rules, and which stretch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ReplayOrder")]
pub(crate) struct Order {
    /// Who asks, where that is not known by itself.
    pub(super) actor: Option<String>,
    /// From when on, milliseconds since 1970.
    from: i64,
    /// Until when.
    to: i64,
    /// Only these rules; none are all.
    #[serde(default)]
    rules: Vec<String>,
}

impl Order {
    pub(super) fn check(&self, work: &Work) -> Result<(), Problem> {
        super::span(self.from, self.to)?;
        if self.to.saturating_sub(self.from) > MOST_MS {
            return Err(bad("时段最长一年", "the span is a year at most"));
        }
        if self.rules.len() > NAMED {
            return Err(bad("规则太多", "too many rules are named"));
        }
        // Rules may have been added since the start: only what looks like none at all is told at once.
        let known = |id: &String| work.rules.iter().any(|rule| rule.id.as_str() == id);
        match self.rules.iter().find(|id| !known(id) && crate::model::RuleId::new(id).is_err()) {
            Some(_) => Err(bad("规则编号无效", "a rule is named that cannot exist")),
            None => Ok(()),
        }
    }

    pub(super) fn words(&self) -> String {
        format!("from {} to {}", Wall(self.from), Wall(self.to))
    }
}

enum Not {
    Configured(Vec<String>),
    Known(String),
    Read(StoreError),
}

pub(super) async fn run(bench: Bench, order: Order) -> Outcome {
    let way = Arc::new(Way::default());
    let (from, to) = (Wall(order.from), Wall(order.to));
    let work = {
        let (way, source, dir) = (Arc::clone(&way), bench.work.source.clone(), bench.data_dir.clone());
        on_thread(move || -> Result<Replayed, Not> {
            let trial = config::load_trial(&source, &[]).map_err(|problems| {
                Not::Configured(problems.iter().take(SLIPS).map(ToString::to_string).collect())
            })?;
            let config = trial.config;
            let there = |id: &String| config.rules.iter().any(|rule| rule.id().as_str() == id);
            if let Some(unknown) = order.rules.iter().find(|id| !there(id)) {
                return Err(Not::Known(unknown.clone()));
            }
            Replay::new(dir, config, &order.rules, (from, to))
                .and_then(|replay| replay.run(&way))
                .map_err(Not::Read)
        })
    };
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            () = bench.until_halted(), if !bench.halted() => way.stop.store(true, Ordering::Relaxed),
            () = tokio::time::sleep(LOOK) => {
                let ms = |ms: i64| u64::try_from(ms).unwrap_or(0);
                let (done, of) = (way.reached(from).min(to).since(from), to.since(from));
                let readings = way.readings.load(Ordering::Relaxed);
                let at = way.reached(from).in_zone(&bench.zone);
                let words = Text::new(
                    format!("已到 {at}，{readings} 个读数"),
                    format!("at {at}, {readings} readings"),
                );
                bench.tell(ms(done), Some(ms(of)), words);
            }
        }
    };
    match done {
        Some(Ok(came)) if way.stop.load(Ordering::Relaxed) => Outcome::stopped(Some(told(&came))),
        Some(Ok(came)) => Outcome::done(told(&came)),
        Some(Err(Not::Known(id))) => {
            Outcome::failed(Text::new(format!("没有规则“{id}”"), format!("there is no rule '{id}'")))
        }
        Some(Err(Not::Configured(slips))) => {
            let slips = slips.join("; ");
            Outcome::failed(Text::new(
                format!("配置有误：{slips}"),
                format!("the configuration has problems: {slips}"),
            ))
        }
        Some(Err(Not::Read(error))) => Outcome::broken("读取数据失败", &error),
        None => Outcome::failed(Text::new("试算中断", "the replay broke off")),
    }
}

fn told(came: &Replayed) -> Value {
    let row = |(episode, would, did): (&Episode, bool, bool)| {
        json!({
            "rule": episode.key.rule, "subject": subject(&episode.key), "from": episode.from, "to": episode.to,
            "would": would, "did": did,
        })
    };
    let compared = &came.compared;
    let same = compared.same.iter().map(|episode| (episode, true, true));
    let now = compared.only_now.iter().map(|episode| (episode, true, false));
    let then = compared.only_then.iter().map(|episode| (episode, false, true));
    let mut all: Vec<_> = same.chain(now).chain(then).collect();
    all.sort_by_key(|(episode, ..)| episode.from);
    let more = all.len().saturating_sub(LISTED);
    json!({
        "from": came.stretch.from, "to": came.stretch.to, "reached": came.reached, "readings": came.readings,
        "rules": came.rules,
        "would": came.now.episodes.len(), "did": came.then.episodes.len(), "same": compared.same.len(),
        "oldest": {"reading": came.reach.readings, "event": came.reach.events, "start": came.reach.starts},
        "not_compared": came.now.more + came.then.more,
        "rows": all.into_iter().take(LISTED).map(row).collect::<Vec<_>>(), "more": more,
    })
}
