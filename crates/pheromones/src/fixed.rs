//! Fixed-point arithmetic: the same bits on every platform (pheromones.md section 3, Arithmetic).

/// One, as a ratio: Q32.
pub(crate) const ONE: u64 = 1 << 32;

/// One, as a factor of decay: Q63.
const UNIT: u64 = 1 << 63;

/// ln 2 in Q63.
const LN_2: u64 = 0x58b9_0bfb_e8e7_bcd6;

/// 2^(-i/256) in Q63.
const COARSE: [u64; 256] = powers(root_of_half(8));
/// 2^(-i/65,536) in Q63.
const FINE: [u64; 256] = powers(root_of_half(16));
/// log2(1 + i/256) in Q32.
const LOGARITHMS: [u64; 257] = logarithms();

/// One half, `times` square roots deep, in Q63.
const fn root_of_half(times: u32) -> u64 {
    let mut root = UNIT >> 1;
    let mut left = times;
    while left > 0 {
        root = ((root as u128) << 63).isqrt() as u64;
        left -= 1;
    }
    root
}

const fn powers(root: u64) -> [u64; 256] {
    let mut table = [UNIT; 256];
    let mut index = 1;
    while index < 256 {
        table[index] = times(table[index - 1], root);
        index += 1;
    }
    table
}

/// Bit by bit: the square of 2^x has the exponent's next bit before its point.
const fn logarithms() -> [u64; 257] {
    let mut table = [0; 257];
    let mut index = 0;
    while index < 256 {
        let mut value = UNIT + ((index as u64) << 55);
        let mut bit = 32;
        while bit > 0 {
            bit -= 1;
            let square = (value as u128 * value as u128) >> 63;
            if square >= 1 << 64 {
                table[index] |= 1 << bit;
                value = (square >> 1) as u64;
            } else {
                value = square as u64;
            }
        }
        index += 1;
    }
    table[256] = ONE;
    table
}

/// Product of two Q63 numbers, rounded to the nearest.
const fn times(a: u64, b: u64) -> u64 {
    ((a as u128 * b as u128 + (1 << 62)) >> 63) as u64
}

/// What is left of one after some half-lives: Q63, at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Remains(u64);

impl Remains {
    /// 2^(-x) for `x` half-lives in Q32. Relative error below 2^-50: two tables for the first 16 bits
    /// of the fraction, the first three terms of the exponential's series for the rest.
    pub(crate) fn after(x: u64) -> Self {
        let whole = x >> 32;
        if whole >= 64 {
            return Self(0);
        }
        let (coarse, fine) = ((x >> 24) as usize & 255, (x >> 16) as usize & 255);
        let t = ((u128::from(x & 0xffff) * u128::from(LN_2)) >> 32) as u64;
        let square_half = ((u128::from(t) * u128::from(t)) >> 64) as u64;
        let rest = UNIT - t + square_half;
        Self(times(times(COARSE[coarse], FINE[fine]), rest) >> whole)
    }

    /// What is left of `amount`, rounded to the nearest unit.
    pub(crate) fn of(self, amount: u64) -> u64 {
        times(amount, self.0)
    }
}

/// 2^(-x) for `x` in Q32, as a Q32 ratio.
pub(crate) fn exp2_negative(x: u64) -> u64 {
    Remains::after(x).0 >> 31
}

/// log2 of a number above 0, in Q32; of 0 as of 1. Error below 2^-18.
pub(crate) fn log2(number: u64) -> i64 {
    let number = number.max(1);
    let shift = number.leading_zeros();
    let mantissa = number << shift;
    let index = (mantissa >> 55) as usize & 255;
    let rest = (mantissa >> 31) & 0xff_ffff;
    let (low, high) = (LOGARITHMS[index], LOGARITHMS[index + 1]);
    let fraction = low + (((high - low) * rest) >> 24);
    (i64::from(63 - shift) << 32) + fraction as i64
}

/// `a x b / c` without overflow between; saturates; `c` of 0 counts as 1.
pub(crate) fn scale(a: u64, b: u64, c: u64) -> u64 {
    // Dividing 128 bits takes several times as long, and is hardly ever needed.
    if let Some(product) = a.checked_mul(b) {
        return product / c.max(1);
    }
    let wide = u128::from(a) * u128::from(b) / u128::from(c.max(1));
    u64::try_from(wide).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn halving_agrees_with_floating_point(x in 0..20 * ONE) {
            let exact = (-(x as f64) / ONE as f64 * core::f64::consts::LN_2).exp_m1() + 1.0;
            let ours = Remains::after(x).of(1 << 50) as f64;
            let expected = exact * (1_u64 << 50) as f64;
            prop_assert!((ours - expected).abs() <= 1.0 + expected * 1e-14, "{ours} {expected}");
        }

        #[test]
        fn logarithms_undo_powers(number in 1_u64..1 << 62) {
            let log = log2(number);
            let back = exp2_negative((62 << 32) - log as u64) as f64 / ONE as f64;
            let expected = number as f64 / (1_u64 << 62) as f64;
            prop_assert!((back - expected).abs() <= expected * 1e-4 + 1e-9, "{back} {expected}");
        }
    }

    #[test]
    fn whole_half_lives_are_exact() {
        for whole in 0..40 {
            assert_eq!(Remains::after(whole << 32).of(1 << 40), 1 << (40 - whole));
            assert_eq!(log2(1 << whole), (whole as i64) << 32);
        }
        assert_eq!(Remains::after(u64::MAX).of(u64::MAX), 0);
        assert_eq!(exp2_negative(0), ONE);
    }

    #[test]
    fn products_do_not_overflow() {
        assert_eq!(scale(u64::MAX, 6, 2), u64::MAX);
        assert_eq!(scale(1 << 40, 1 << 40, 1 << 40), 1 << 40);
        assert_eq!(scale(5, 7, 0), 35);
    }
}
