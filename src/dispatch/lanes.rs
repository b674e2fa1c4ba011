//! Which lanes run: one for each integration of the configuration in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::lane::{Lane, Sender};
use super::{Deps, fallback, pauses};
use crate::notify::{MessageTemplates, Notifier, NotifyError, Receiver};
use crate::tasks::Tasks;

/// The senders of a configuration, ready to send: whatever can fail has not.
#[derive(Debug)]
pub struct Senders {
    receivers: BTreeMap<String, Receiver>,
    senders: Vec<Sender>,
}

impl Senders {
    /// Sets up a notifier for each integration. Reads files; connects to nobody. The error names the integration.
    pub fn new(
        receivers: Vec<Receiver>,
        templates: &MessageTemplates,
    ) -> Result<Self, (String, NotifyError)> {
        let mut senders = Vec::new();
        for integration in receivers.iter().flat_map(|receiver| &receiver.integrations) {
            match Notifier::new(integration, templates) {
                Ok(notifier) => senders.push(Sender { integration: integration.clone(), notifier }),
                Err(error) => return Err((integration.id.clone(), error)),
            }
        }
        let receivers = receivers.into_iter().map(|one| (one.name.clone(), one)).collect();
        Ok(Self { receivers, senders })
    }

    /// The identities of the integrations.
    pub fn ids(&self) -> BTreeSet<String> {
        self.senders.iter().map(|sender| sender.integration.id.clone()).collect()
    }
}

/// The lanes, and the worker that triggers fallbacks.
#[derive(Debug)]
pub struct Lanes {
    deps: Deps,
    tasks: Tasks,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    running: BTreeMap<String, Arc<Lane>>,
    /// Told to end; they still wait for their sends.
    ending: Vec<Arc<Lane>>,
}

impl Lanes {
    /// Begins to send and to trigger fallbacks.
    pub fn start(deps: Deps, senders: Senders, tasks: Tasks) -> Self {
        let lanes = Self { deps, tasks, known: Mutex::default() };
        lanes.take(senders);
        // Not before the receivers are known: a fallback that is not found counts as triggered.
        let fallbacks = fallback::run(lanes.deps.clone(), lanes.tasks.clone());
        lanes.tasks.spawn("fallbacks", fallbacks);
        let pauses = pauses::run(lanes.deps.clone(), lanes.tasks.clone());
        lanes.tasks.spawn("pauses", pauses);
        lanes
    }

    /// Takes the senders of a configuration: new integrations begin to send, known ones send by the new settings from the
    /// next send on. Those that are gone go on until [`Lanes::retire`], for something may still be queued to them.
    pub fn take(&self, senders: Senders) {
        let Senders { receivers, senders } = senders;
        let mut lanes = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in senders {
            let id = sender.integration.id.clone();
            if let Some(lane) = lanes.running.get(&id) {
                lane.change(sender);
            } else {
                let lane = Arc::new(Lane::new(self.deps.clone(), sender, self.tasks.branch()));
                lane.tasks().spawn("dispatch", Arc::clone(&lane).run());
                lane.tasks().spawn_short(Arc::clone(&lane).refresh());
                lanes.running.insert(id, lane);
            }
        }
        drop(lanes);
        // After the lanes: nothing is queued to an integration that nobody serves.
        self.deps.receivers.store(Arc::new(receivers));
    }

    /// Ends the lanes of integrations that are not among `known`. They claim nothing more, and what they are sending is
    /// waited for. True once all of them have ended.
    pub fn retire(&self, known: &BTreeSet<String>) -> bool {
        let mut lanes = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { running, ending } = &mut *lanes;
        let gone = running.extract_if(.., |id, _| !known.contains(id));
        ending.extend(gone.map(|(_, lane)| lane).inspect(|lane| lane.tasks().stop()));
        ending.retain(|lane| !lane.has_ended());
        ending.is_empty()
    }
}
