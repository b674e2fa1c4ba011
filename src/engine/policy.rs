//! What is judged by.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alerts::{Routing, Scope, Target, TargetId};
use crate::notify::{Integration, Receiver};
use crate::rules::RuleSet;

/// What is judged by: the part of the configuration that decides.
#[derive(Debug)]
pub struct Policy {
    /// The rules.
    pub rules: RuleSet,
    /// Who is notified, and what keeps them from being notified.
    pub routing: Arc<Routing>,
    /// The receivers, by name.
    pub receivers: BTreeMap<String, Receiver>,
    /// Hash of the configuration, kept with each judgement.
    pub config_hash: String,
}

impl Policy {
    /// An integration with its receiver.
    pub(super) fn integration(&self, id: &str) -> Option<(&Receiver, &Integration)> {
        self.receivers.values().find_map(|receiver| {
            let found = receiver.integrations.iter().find(|integration| integration.id == id)?;
            Some((receiver, found))
        })
    }

    /// Who hears of a group: the targets of the route's receiver, and of those whom its notification log knows the ones
    /// that are to hear the end all the same. With `None` the route is gone.
    pub(super) fn targets<'l>(
        &self,
        receiver: Option<&str>,
        known: impl Iterator<Item = &'l TargetId>,
    ) -> Vec<Target> {
        let receiver = receiver.and_then(|name| self.receivers.get(name));
        let integrations = receiver.map_or(&[][..], |receiver| &receiver.integrations);
        let mut targets: Vec<Target> = integrations
            .iter()
            .flat_map(|integration| integration.as_targets(Scope::All))
            .collect();
        for id in known {
            if targets.iter().any(|target| target.id == *id) {
                continue;
            }
            let Some((of, integration)) = self.integration(&id.integration) else { continue };
            let mut left = integration.as_targets(Scope::Ends);
            left.retain(|target| {
                target.id == *id
                    && (target.kind.keeps_state() || self.is_fallback(receiver, &of.name))
            });
            targets.extend(left);
        }
        targets
    }

    /// Whether a receiver stands in for another, directly or not.
    fn is_fallback(&self, of: Option<&Receiver>, name: &str) -> bool {
        let mut at = of;
        // Cycles are refused when the configuration is read.
        for _ in 0..self.receivers.len() {
            let Some(fallback) = at.and_then(|receiver| receiver.fallback.as_deref()) else {
                break;
            };
            if fallback == name {
                return true;
            }
            at = self.receivers.get(fallback);
        }
        false
    }
}
