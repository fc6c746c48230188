/** How many binary digits after the point a unit has: it is 2^-1074, the smallest float64. */
const UNIT_BITS = 1074;
/** The greatest mantissa of a float64 is below this power of two. */
const MANTISSA_BITS = 53;
const IMPLICIT_BIT = 1n << 52n;
const FRACTION = IMPLICIT_BIT - 1n;
const INFINITY_BITS = 0x7ffn << 52n;

/** A sum of float64 numbers that has not been rounded, in any order and any split. */
export class ExactSum {
  /** The sum of the finite terms, in units of 2^-1074. */
  readonly units: bigint;
  /** How many terms were NaN. */
  readonly nan: bigint;
  /** How many terms were +∞. */
  readonly positiveInfinity: bigint;
  /** How many terms were −∞. */
  readonly negativeInfinity: bigint;

  /**
   * @param units - The sum of the finite terms, in units of 2^-1074.
   * @param nan - How many terms were NaN.
   * @param positiveInfinity - How many terms were +∞.
   * @param negativeInfinity - How many terms were −∞.
   */
  constructor(units = 0n, nan = 0n, positiveInfinity = 0n, negativeInfinity = 0n) {
    this.units = units;
    this.nan = nan;
    this.positiveInfinity = positiveInfinity;
    this.negativeInfinity = negativeInfinity;
  }

  /** The sum of some numbers. */
  static of(terms: Iterable<number>): ExactSum {
    let units = 0n;
    const special = new Map([NaN, Infinity, -Infinity].map((x) => [x, 0n]));
    for (const term of terms) {
      const times = special.get(term);
      if (times === undefined) units += unitsOf(term);
      else special.set(term, times + 1n);
    }
    return new ExactSum(units, ...special.values());
  }

  /** A whole number as a sum, to divide by. */
  static ofWhole(count: bigint): ExactSum {
    return new ExactSum(count << BigInt(UNIT_BITS));
  }

  /** The sum of the terms of both. */
  plus(other: ExactSum): ExactSum {
    return new ExactSum(
      this.units + other.units,
      this.nan + other.nan,
      this.positiveInfinity + other.positiveInfinity,
      this.negativeInfinity + other.negativeInfinity,
    );
  }

  /** NaN or an infinity if a term was one. */
  get special(): number | undefined {
    if (this.nan || (this.positiveInfinity && this.negativeInfinity)) return NaN;
    if (this.positiveInfinity) return Infinity;
    return this.negativeInfinity ? -Infinity : undefined;
  }

  /** Whether nothing but zeros was added, or the terms cancel. */
  get isZero(): boolean {
    return !this.units && this.special === undefined;
  }

  /** The sum, rounded once to the nearest float64; infinite if it is beyond. */
  toNumber(): number {
    return this.special ?? divide(this.units, 1n << BigInt(UNIT_BITS));
  }

  /**
   * The ratio of two sums, rounded once.
   *
   * @throws RangeError - The divisor is zero.
   */
  dividedBy(divisor: ExactSum): number {
    if (divisor.isZero) throw new RangeError("division by zero");
    const special = this.special !== undefined || divisor.special !== undefined;
    return special ? this.toNumber() / divisor.toNumber() : divide(this.units, divisor.units);
  }
}

/**
 * The quotient of two integers, rounded once to the nearest float64, ties to even.
 *
 * @throws RangeError - The divisor is zero.
 */
export function divide(above: bigint, below: bigint): number {
  const sign = above < 0n === below < 0n ? 1 : -1;
  const [a, b] = [size(above), size(below)];
  if (!a && b) return sign * 0;
  // So many binary digits that the quotient is a mantissa, but none beyond the smallest float64.
  let digits = Math.min(UNIT_BITS, MANTISSA_BITS - bitLength(a) + bitLength(b));
  let mantissa = rounded(a, b, digits);
  if (mantissa >> BigInt(MANTISSA_BITS)) mantissa = rounded(a, b, --digits);
  // The mantissa's highest bit, where it is a full one, adds the 1 that the exponent lacks.
  const bits = (BigInt(UNIT_BITS - digits) << 52n) + mantissa;
  return sign * numberOf(bits < INFINITY_BITS ? bits : INFINITY_BITS);
}

/** Length of the two's complement's shortest form without its sign, in bits. */
export function bitLength(x: bigint): number {
  const digits = size(x).toString(16);
  return 4 * digits.length - Math.clz32(parseInt(digits.charAt(0), 16)) + 28;
}

/** above · 2^digits / below as a whole number, ties to even. */
function rounded(above: bigint, below: bigint, digits: number): bigint {
  const a = digits > 0 ? above << BigInt(digits) : above;
  const b = digits < 0 ? below << BigInt(-digits) : below;
  const quotient = a / b;
  const rest = 2n * (a % b);
  return rest > b || (rest === b && quotient & 1n) ? quotient + 1n : quotient;
}

function size(x: bigint): bigint {
  return x < 0n ? -x : x;
}

/** A finite number in units of 2^-1074. */
function unitsOf(x: number): bigint {
  const bits = bitsOf(Math.abs(x));
  const exponent = bits >> 52n;
  const units = exponent ? (IMPLICIT_BIT | (bits & FRACTION)) << (exponent - 1n) : bits;
  return x < 0 ? -units : units;
}

const view = new DataView(new ArrayBuffer(8));

/** The bits of a float64. */
export function bitsOf(x: number): bigint {
  view.setFloat64(0, x);
  return view.getBigUint64(0);
}

/** The float64 of these bits. */
export function numberOf(bits: bigint): number {
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}
