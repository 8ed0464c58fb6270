//! [`Chance`]: where a rule takes its randomness from. It comes from the world's seed, and each rule has its own: that one
//! more rule is installed changes nothing for the others.
//!
//! No function of it depends on the machine: floating point is only compared, added and multiplied.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of chance.
#[derive(Clone, Debug)]
pub struct Chance(ChaCha8Rng);

/// How many uniform numbers are summed up for a normal one: their variance is then one (Irwin and Hall).
const SUMMANDS: usize = 12;

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Chance(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 to 1, without 1.
    pub fn unit(&mut self) -> f64 {
        const BITS: u32 = f64::MANTISSA_DIGITS;
        (self.bits() >> (u64::BITS - BITS)) as f64 / (1_u64 << BITS) as f64
    }

    /// Whether something happens that has this probability: never for 0, always for 1.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> u64::BITS) as usize
    }

    /// A time from zero to `longest`, each as likely as any other.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(((u128::from(self.bits()) * (u128::from(nanos) + 1)) >> u64::BITS) as u64)
    }

    /// A number that is normally distributed, with mean 0 and deviation 1, as near as matters: never beyond ±6.
    pub fn normal(&mut self) -> f64 {
        (0..SUMMANDS).map(|_| self.unit()).sum::<f64>() - SUMMANDS as f64 / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_alike() {
        let draw = |seed| Chance::new(seed).bits();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn what_is_impossible_never_happens_and_what_is_certain_always() {
        let mut chance = Chance::new(1);
        assert!((0..1000).all(|_| !chance.happens(0.0) && chance.happens(1.0)));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_below_it() {
        let mut chance = Chance::new(1);
        let mut seen = [0; 3];
        (0..3000).for_each(|_| seen[chance.below(3)] += 1);
        assert!(seen.iter().all(|count| (900..1100).contains(count)), "{seen:?}");
        assert_eq!(chance.below(0), 0);
        assert!((0..100).all(|_| chance.up_to(Duration::from_nanos(1)) <= Duration::from_nanos(1)));
        assert_eq!(chance.up_to(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn two_of_three_normal_numbers_are_within_the_deviation() {
        let mut chance = Chance::new(1);
        let within = (0..10_000).filter(|_| chance.normal().abs() < 1.0).count();
        assert!((6700..6950).contains(&within), "{within} of 10000 where it ought to be 6827");
    }
}
