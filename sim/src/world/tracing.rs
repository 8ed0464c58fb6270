//! The verbs for whoever wants to know what happened.

use netns::error::Error;

use super::{World, no_daemon};
use crate::recording::Recording;
use crate::rule::Scope;
use crate::socket::SocketError;
use crate::trace::Capture;

impl World {
    /// A hash over all that happened: each frame that was handed to a cable, lost or taken, each decision of the switch, each
    /// change of the data plane and of a container; and when. Equal runs have equal hashes, on every machine.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.plant.trace.hash()
    }

    /// What happened, a line each, if [`WorldBuilder::trace`](crate::WorldBuilder::trace) has asked for it: the first million
    /// lines, and how many more there are.
    ///
    /// A line is `TIME PORT EVENT: FRAME`, the time in seconds since the world began, the port as the switch names it. The
    /// events of a frame are `sends` and `receives`, which is the interface behind the port; the verdict when the switch takes
    /// it, such as `flood to pontoon0, db.eth0` or `drop: hairpin`; and on its way `changes (…)` and `loses (…)`, with the rules
    /// or the reason. Lines of the world itself are `TIME - EVENT`: ports, stations, containers, the daemon.
    ///
    /// ```
    /// # use netns::manager::RunRequest;
    /// # use pontoon_sim::{Place, Program, World};
    /// let mut world = World::builder().trace(true).up()?;
    /// let web = world.run(RunRequest { name: Some("web".parse()?), ..RunRequest::new(vec!["httpd".into()]) }, Program::Sleep)?;
    /// world.advance(std::time::Duration::from_secs(1));
    /// let asked = world.trace().len();
    /// world.ping(&Place::Host, [172, 17, 0, 2]);
    /// let echo = "02:42:ac:11:00:02, 98 bytes, ICMP 172.17.0.1 > 172.17.0.2 echo request 0";
    /// assert!(world.trace()[asked..].iter().any(|line| line.contains(" pontoon0 unicast to web.eth0: ") && line.ends_with(echo)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.plant.trace.words()
    }

    /// Records the frames of a scope from now on, as a pcapng file.
    ///
    /// ```
    /// # use netns::manager::RunRequest;
    /// # use pontoon_sim::{Place, Program, Scope, World};
    /// # let mut world = World::builder().up()?;
    /// let capture = world.capture(&Scope::world()).expect("the world is there");
    /// # let web = world.run(RunRequest::new(vec!["httpd".into()]), Program::Sleep)?;
    /// world.ping(&Place::Host, [172, 17, 0, 2]);
    /// let file = std::env::temp_dir().join("ping.pcapng");
    /// std::fs::write(&file, capture.bytes()).expect("there is room");
    /// # std::fs::remove_file(file).expect("it was there");
    /// # Ok::<(), netns::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the place or the interface of the scope is not there, or the interface leads to no switch.
    pub fn capture(&mut self, scope: &Scope) -> Result<Capture, SocketError> {
        let applies = self.resolve(scope)?;
        Ok(self.plant.trace.capture(scope.resolved(applies)))
    }

    /// Records all that comes to the data plane from now on, as `pontoon capture --all -w FILE` does on a host: a switch can be
    /// given the same again, the one of a later day too.
    ///
    /// ```
    /// # use netns::manager::RunRequest;
    /// # use pontoon_sim::{Place, Program, World};
    /// use capture::recording::Reader;
    /// use capture::replay::{Replay, Step};
    ///
    /// let mut world = World::builder().up()?;
    /// let recording = world.record()?;
    /// # let web = world.run(RunRequest::new(vec!["httpd".into()]), Program::Sleep)?;
    /// assert!(world.ping(&Place::Host, [172, 17, 0, 2]));
    ///
    /// let file = recording.bytes();
    /// let entries = Reader::new(&file[..])?;
    /// let mut replay = Replay::begin(entries.start())?;
    /// for entry in entries {
    ///     assert_eq!(replay.step(&entry?), Ok(Step::Same));
    /// }
    /// assert_eq!(replay.tally().frames, recording.frames());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If no daemon runs.
    pub fn record(&mut self) -> Result<Recording, Error> {
        let now = self.clock.now();
        let daemon = self.daemon.as_mut().ok_or_else(no_daemon)?;
        let recording = daemon.record(now);
        daemon.take_events(now, &self.plant.trace);
        daemon.schedule(&self.clock);
        Ok(recording)
    }

    /// How many events there have been: frames that were looked for, timers, ends of programs. Time in which nothing happens
    /// has none.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.clock.events()
    }

    pub(super) fn note(&self, event: &str) {
        self.plant.trace.event(self.clock.now(), event);
    }
}
