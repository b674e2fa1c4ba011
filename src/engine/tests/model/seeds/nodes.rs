//! The processes: one, or two of which one leads.

use super::*;

/// A process.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// What it remembers; `None` after a start, and after a commit that failed.
    pub(super) state: Option<State>,
    /// As whom it leads, as far as it knows; 0 when it does not.
    pub(super) epoch: u64,
}

impl Sim<'_> {
    /// A process ends at once. With another beside it, that one leads; else it is up again at once.
    pub(super) fn crash(&mut self, n: usize) {
        self.nodes[n].state = None;
        self.flights.retain(|flight| flight.node != n);
        if self.nodes.len() == 1 {
            self.model.world.disk.release();
        } else if n == self.leader {
            self.take_over();
            self.nodes[n].epoch = 0;
        }
    }

    /// Another leads. The one that did does not know.
    pub(super) fn take_over(&mut self) {
        if self.nodes.len() == 1 {
            return;
        }
        self.leader = 1 - self.leader;
        self.epoch += 1;
        let leader = &mut self.nodes[self.leader];
        (leader.epoch, leader.state) = (self.epoch, None);
        self.show(&format!("process {} leads", self.leader));
    }

    /// Whoever believes to lead judges some of what waits, or the timers; between reading and committing things happen.
    pub(super) fn judge(&mut self) {
        let n = if self.one_in(8) { self.rng.usize(0..self.nodes.len()) } else { self.leader };
        if self.nodes[n].epoch == 0 {
            return;
        }
        let (policy, now, read_under) = (self.model.policy(), self.now(), self.nodes[n].epoch);
        let disk = &self.model.world.disk;
        let mut state = self.nodes[n].state.take().unwrap_or_else(|| resumed(disk));
        let limit = [1, 2, 5, 100][self.rng.usize(0..4)];
        let rest = self.inbox.iter().filter(|stored| stored.seq > state.cursor());
        let events: Vec<&StoredEvent> = rest.take(limit).collect();
        if state.silences().version() != disk.silences.version {
            state.set_silences(disk.silences.clone(), now);
        }
        state.load_known(disk.known(&events));
        state.set_ended_deliveries(disk.unnoted());
        let judged = step(&mut state, policy, &events, now);
        let (is_time_alone, silences) = (events.is_empty(), disk.silences.version);
        match self.rng.usize(0..20) {
            0 => {
                self.show("a crash before the commit");
                return self.crash(n);
            }
            1 => self.take_over(),
            2 => self.go_on(),
            _ => {}
        }
        if read_under != self.epoch {
            // It may lead again: what it read before another did is out of date all the same.
            self.show(&format!("process {n} led when it read, and commits nothing"));
            if self.nodes[n].epoch != self.epoch {
                self.nodes[n] = Node::default();
            }
            return;
        }
        let before = self.model.world.disk.cursor;
        promises::assert_judged_once(&judged.changes, before);
        self.show(&format!(
            "events {before}..{}: {} deliveries",
            judged.changes.cursor,
            judged.changes.deliveries.len()
        ));
        self.model.world.disk.commit(judged.changes);
        if self.model.policy == FEW {
            // Their rule is gone, and they with it.
            let gone = self.inbox.iter().filter(|stored| stored.seq <= state.cursor());
            gone.for_each(|stored| {
                self.lasting.remove(&stored.event.id);
            });
        } else {
            let new = self
                .inbox
                .iter()
                .filter(|stored| stored.seq > before && stored.seq <= state.cursor());
            let new = new.filter(|stored| stored.event.kind == "fax.delivered");
            self.lasting.extend(new.map(|stored| stored.event.id.clone()));
        }
        if self.one_in(20) {
            self.show("a crash after the commit");
            return self.crash(n);
        }
        state.clear();
        self.assert_restart_is_no_change(&state);
        let is_done = state.next_deadline().is_none_or(|due| due > now);
        let is_up_to_date = silences == self.model.world.disk.silences.version;
        if is_time_alone && is_done && is_up_to_date && self.model.world.disk.unnoted().is_empty() {
            self.assert_what_is_owed_has_a_deadline(&state);
        }
        self.nodes[n].state = Some(state);
    }
}

/// What a process that starts knows.
pub(super) fn resumed(disk: &Disk) -> State {
    let (state, broken) = State::resume(disk.resumed());
    assert_eq!(broken, Vec::<String>::new());
    state
}
