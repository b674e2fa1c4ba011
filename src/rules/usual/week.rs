//! One week of hours, packed: a bit for each hour that has a value, one for each that weighs nothing, and the values
//! as whole numbers of one scale.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::WEEK_HOURS;

/// Bytes of a bit for each hour.
const BITS: usize = 21;
/// First byte: what the rest means.
const FORM: u8 = 1;
/// Magnitude below which a value is kept to its last digit: 2^48, 14 digits.
const UNITS_END: i128 = 1 << 48;
/// Digits behind the point at most.
const SCALE_MAX: u32 = 18;

/// The hours of a week that have something, packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Week(Box<[u8]>);

/// What is kept of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// It weighs nothing.
    Void,
    /// Its value, and the number of values in it where that is kept.
    Some(Decimal, u64),
}

/// A cell as whole units of the week's scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Units {
    /// It weighs nothing.
    Void,
    /// Value in units, number of values.
    Some(i64, u64),
}

impl Week {
    /// Packs cells, given by place in the week (0 to 167) and in order. `paired`: the numbers of values are kept.
    ///
    /// Values of more than 14 digits are rounded, half to even, to fewer behind the point.
    pub(super) fn pack(cells: &[(usize, Cell)], paired: bool) -> Self {
        let values = || {
            cells.iter().filter_map(|(_, cell)| match cell {
                Cell::Some(value, count) => Some((*value, *count)),
                Cell::Void => None,
            })
        };
        let mut scale = values().map(|(value, _)| value.normalize().scale()).max().unwrap_or(0);
        scale = scale.min(SCALE_MAX);
        while scale > 0 && values().any(|(value, _)| units(value, scale).is_none()) {
            scale -= 1;
        }
        let (mut present, mut void) = ([0_u8; BITS], [0_u8; BITS]);
        for (place, cell) in cells {
            let bits = if *cell == Cell::Void { &mut void } else { &mut present };
            if let Some(byte) = bits.get_mut(place / 8) {
                *byte |= 1 << (place % 8);
            }
        }
        let has_void = void.iter().any(|byte| *byte != 0);
        // The scale is far below 64.
        let head =
            (u8::try_from(scale).unwrap_or(0) << 2) | (u8::from(has_void) << 1) | u8::from(paired);
        let mut bytes = vec![FORM, head];
        bytes.extend(present);
        if has_void {
            bytes.extend(void);
        }
        for (value, count) in values() {
            let units = units(value, scale).unwrap_or(if value.is_sign_negative() {
                1 - UNITS_MAX
            } else {
                UNITS_MAX - 1
            });
            put(&mut bytes, zigzag(units));
            if paired {
                put(&mut bytes, count);
            }
        }
        Self(bytes.into())
    }

    /// The bytes, as they are stored.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes that were stored; `None` for others.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let week = Self(bytes.into());
        let (mut cells, mut read) = (week.cells()?, 0);
        for (place, _) in cells.by_ref() {
            read += 1;
            if i64::try_from(place).is_ok_and(|place| place >= WEEK_HOURS) {
                return None;
            }
        }
        let expected = bytes.get(2..2 + BITS)?.iter().map(|byte| byte.count_ones()).sum::<u32>()
            + cells.void.iter().map(|byte| byte.count_ones()).sum::<u32>();
        (cells.rest.is_empty() && read == expected).then_some(week)
    }

    /// Digits behind the point of its units.
    pub(super) fn scale(&self) -> u32 {
        self.0.get(1).map_or(0, |head| u32::from(head >> 2))
    }

    /// The hours that have something, in order: place in the week, and what.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, Units)> {
        self.cells().into_iter().flatten()
    }

    /// As [`Week::iter`], to be changed and packed again.
    pub(super) fn unpack(&self) -> Vec<(usize, Cell)> {
        let scale = self.scale();
        let cell = |(place, units)| match units {
            Units::Void => (place, Cell::Void),
            Units::Some(units, count) => (place, Cell::Some(Decimal::new(units, scale), count)),
        };
        self.iter().map(cell).collect()
    }

    fn cells(&self) -> Option<Cells<'_>> {
        let [FORM, head, rest @ ..] = &*self.0 else { return None };
        let (present, rest) = rest.split_first_chunk::<BITS>()?;
        let (void, rest) =
            if head & 2 == 0 { (&[0; BITS], rest) } else { rest.split_first_chunk::<BITS>()? };
        Some(Cells { present, void, rest, is_paired: head & 1 != 0, place: 0 })
    }
}

/// Goes through a packed week.
struct Cells<'w> {
    present: &'w [u8; BITS],
    void: &'w [u8; BITS],
    rest: &'w [u8],
    is_paired: bool,
    place: usize,
}

impl Iterator for Cells<'_> {
    type Item = (usize, Units);

    fn next(&mut self) -> Option<Self::Item> {
        while let (Some(present), Some(void)) =
            (self.present.get(self.place / 8), self.void.get(self.place / 8))
        {
            let place = self.place;
            // A byte without anything is passed at once.
            if place.is_multiple_of(8) && present | void == 0 {
                self.place += 8;
                continue;
            }
            self.place += 1;
            let bit = 1 << (place % 8);
            if present & bit != 0 {
                let units = unzigzag(take(&mut self.rest)?);
                let count = if self.is_paired { take(&mut self.rest)? } else { 0 };
                return Some((place, Units::Some(units, count)));
            }
            if void & bit != 0 {
                return Some((place, Units::Void));
            }
        }
        None
    }
}

/// Units that fit.
const UNITS_MAX: i64 = 1 << 48;

/// A value in units of a scale, rounded; `None` where that is too large.
fn units(value: Decimal, scale: u32) -> Option<i64> {
    let mut value = value.round_dp(scale);
    value.rescale(scale);
    // `rescale` keeps a lower scale where the digits do not fit.
    let units = (value.scale() == scale).then(|| value.mantissa())?;
    (units.abs() < UNITS_END).then(|| units.to_i64())?
}

fn zigzag(units: i64) -> u64 {
    ((units << 1) ^ (units >> 63)).cast_unsigned()
}

fn unzigzag(coded: u64) -> i64 {
    (coded >> 1).cast_signed() ^ -((coded & 1).cast_signed())
}

/// Appends a number, seven bits in a byte, the low ones first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
