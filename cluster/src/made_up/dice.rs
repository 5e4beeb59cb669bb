//! Chance that is the same every time: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
//! number generators", 2014), begun from a seed, a kind of thing and a number.

/// FNV-1a, for the name of a kind.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
/// SplitMix64's step.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) struct Dice(u64);

impl Dice {
    /// The dice for one thing; those of another have nothing to do with them.
    pub(super) fn of(seed: u64, kind: &str, number: u64) -> Self {
        let kind = kind.bytes().fold(FNV_OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
        });
        Self(mix(mix(mix(seed) ^ kind) ^ number))
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// From 0 to `end - 1`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let scaled = u128::from(self.roll()) * u128::from(end);
        (scaled >> 64) as u64
    }

    /// From `min` to `max`.
    pub(super) fn between(&mut self, min: i64, max: i64) -> i64 {
        min + self.below((max - min).unsigned_abs() + 1).cast_signed()
    }

    /// In so many of a hundred cases.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
