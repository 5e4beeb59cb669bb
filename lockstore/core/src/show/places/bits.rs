//! Which seats are free: one bit a seat.

use std::ops::Range;

use imbl::Vector;

const WORD: u32 = 64;

/// A set of seat numbers below a length that grows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Bits {
    words: Vector<u64>,
    length: u32,
}

const fn place(index: u32) -> (usize, u64) {
    ((index / WORD) as usize, 1 << (index % WORD))
}

impl Bits {
    pub(super) fn push(&mut self, value: bool) {
        if self.length.is_multiple_of(WORD) {
            self.words.push_back(0);
        }
        self.length += 1;
        if value {
            self.set(self.length - 1, true);
        }
    }

    pub(super) fn get(&self, index: u32) -> bool {
        let (word, bit) = place(index);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn set(&mut self, index: u32, value: bool) {
        let (word, bit) = place(index);
        let word = self
            .words
            .get_mut(word)
            .expect("only seats of the layout are asked for");
        *word = if value { *word | bit } else { *word & !bit };
    }

    /// The first of `range` whose bit is `value`; the range's end if there is none.
    pub(super) fn find(&self, range: Range<u32>, value: bool) -> u32 {
        let mut index = range.start;
        while index < range.end {
            let word = self.words.get((index / WORD) as usize).copied();
            let word = word.unwrap_or(0);
            let wanted = if value { word } else { !word } >> (index % WORD);
            if wanted != 0 {
                return (index + wanted.trailing_zeros()).min(range.end);
            }
            index = (index / WORD + 1) * WORD;
        }
        range.end
    }

    /// The first of the set ones in a row that end before `end`, not before `from`; `end` if the
    /// one before it isn't set.
    pub(super) fn start_of(&self, from: u32, end: u32) -> u32 {
        let mut start = end;
        while start > from && self.get(start - 1) {
            start -= 1;
        }
        start
    }

    pub(super) fn count(&self, range: Range<u32>) -> u32 {
        let (mut count, mut index) = (0, range.start);
        loop {
            index = self.find(index..range.end, true);
            if index == range.end {
                return count;
            }
            let end = self.find(index..range.end, false);
            count += end - index;
            index = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_found_over_the_ends_of_words() {
        let mut bits = Bits::default();
        for index in 0..200 {
            bits.push(index % 64 < 3 || index == 140);
        }
        assert_eq!(bits.find(0..200, false), 3);
        assert_eq!(bits.find(3..200, true), 64);
        assert_eq!(bits.find(67..200, true), 128);
        assert_eq!(bits.find(128..131, false), 131);
        assert_eq!(bits.find(195..200, true), 200);
        assert_eq!(bits.find(193..194, true), 193);
        bits.set(63, true);
        assert_eq!(bits.start_of(0, 67), 63);
        assert_eq!(bits.start_of(65, 67), 65);
        assert_eq!(bits.start_of(0, 63), 63);
        assert_eq!(bits.count(0..200), 4 * 3 + 2);
        assert_eq!(bits.count(1..66), 5);
    }
}
