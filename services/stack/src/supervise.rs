//! Looking after the members: one that ends is started again, each time after a longer pause.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::system::System;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A member that ran this long is taken to be well again: its next pause is the first one.
const WELL: Duration = Duration::from_secs(60);

/// The record of one member.
#[derive(Debug, Default)]
pub struct Watch {
    restarts: u32,
    pause: Option<Duration>,
    started: Option<Instant>,
    due: Option<Instant>,
}

impl Watch {
    /// How often the member ended without being asked to.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Notes that the member has ended; returns the pause before it is started again.
    fn ended(&mut self, now: Instant) -> Duration {
        let was_well = self.started.is_none_or(|started| now.duration_since(started) >= WELL);
        let pause = match self.pause {
            Some(pause) if !was_well => (pause * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        self.restarts += 1;
        self.pause = Some(pause);
        self.due = Some(now + pause);
        pause
    }

    /// Whether it is time to start the member again; says so once.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            self.due = None;
            self.started = Some(now);
        }
        due
    }
}

impl System {
    /// One look at every member. Returns what happened, a line each; the caller writes the state when there is any.
    ///
    /// # Errors
    /// When a member cannot even be started (its program is missing, the disk is full); it is tried again next time.
    pub fn tend(&mut self) -> Result<Vec<String>> {
        let now = Instant::now();
        let mut events = Vec::new();
        let mut due = Vec::new();
        for slot in &mut self.members {
            if let Some(status) = slot.process.as_mut().and_then(crate::process::Process::ended) {
                let pause = slot.watch.ended(now);
                slot.process = None;
                events.push(format!(
                    "{} ended ({status}); starting it again in {:.1} s, see its log",
                    slot.name,
                    pause.as_secs_f32()
                ));
            }
            if slot.process.is_none() && slot.watch.is_due(now) {
                due.push(slot.name);
            }
        }
        for name in due {
            if let Err(error) = self.launch(name) {
                if let Some(slot) = self.members.iter_mut().find(|slot| slot.name == name) {
                    slot.watch.ended(now);
                }
                return Err(error);
            }
            events.push(format!("{name} was started again"));
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_start_over_after_a_good_run() {
        let mut watch = Watch::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let pause = watch.ended(now);
            pauses.push(pause.as_millis());
            assert!(!watch.is_due(now), "not before its pause is over");
            now += pause;
            assert!(watch.is_due(now));
            assert!(!watch.is_due(now), "started once");
        }
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        now += WELL;
        assert_eq!(watch.ended(now), FIRST_PAUSE);
        assert_eq!(watch.restarts(), 10);
    }
}
