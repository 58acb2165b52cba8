import type { Long } from './long.ts'

/** A decimal with four fractional digits: `units` are ten-thousandths. */
export class Decimal {
  readonly type = 'decimal'
  readonly units: Long

  constructor(units: Long) {
    this.units = units
  }

  get key(): string {
    return `d${this.units}`
  }
}

/** An instant: milliseconds since 1970, leap seconds not counted. */
export class DateTime {
  readonly type = 'datetime'
  readonly ms: Long

  constructor(ms: Long) {
    this.ms = ms
  }

  get key(): string {
    return `t${this.ms}`
  }
}

export class Duration {
  readonly type = 'duration'
  readonly ms: Long

  constructor(ms: Long) {
    this.ms = ms
  }

  get key(): string {
    return `p${this.ms}`
  }
}

/** An address or a range of them, with the address as it was written: `10.0.0.1/8` and `10.0.0.0/8` are different values. */
export class IpAddress {
  readonly type = 'ipaddr'
  readonly bits: 32 | 128
  readonly address: bigint
  readonly prefix: number

  constructor(bits: 32 | 128, address: bigint, prefix: number) {
    this.bits = bits
    this.address = address
    this.prefix = prefix
  }

  get key(): string {
    return `i${this.bits}:${this.address}/${this.prefix}`
  }
}
