// Sums that the server asks for after many failed sign-ins: a number that makes SHA-256 begin with zeros.
// Plain code, because browsers lend their own SHA-256 over https only.

const K = new Uint32Array(64);
const START = new Uint32Array(8);

// FIPS 180-4: the first bits of the fractions of cube and square roots of the first primes.
const fill = () => {
  let found = 0;
  for (let n = 2; found < 64; n += 1) {
    let isPrime = true;
    for (let d = 2; d * d <= n; d += 1) if (n % d === 0) isPrime = false;
    if (!isPrime) continue;
    const fraction = (x) => ((x - Math.floor(x)) * 0x100000000) | 0;
    if (found < 8) START[found] = fraction(Math.sqrt(n));
    K[found] = fraction(Math.cbrt(n));
    found += 1;
  }
};
fill();

const w = new Uint32Array(64);
const compress = (state, bytes, offset) => {
  for (let i = 0; i < 16; i += 1) {
    const at = offset + i * 4;
    w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }
  for (let i = 16; i < 64; i += 1) {
    const x = w[i - 15];
    const y = w[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  const sums = [a, b, c, d, e, f, g, h];
  for (let i = 0; i < 8; i += 1) state[i] += sums[i];
};

// The first 32 bits of SHA-256; `state` has taken in `before` bytes, whole blocks, already.
const firstWord = (state, rest, before) => {
  const padded = new Uint8Array(Math.ceil((rest.length + 9) / 64) * 64);
  padded.set(rest);
  padded[rest.length] = 0x80;
  new DataView(padded.buffer).setUint32(padded.length - 4, (before + rest.length) * 8);
  const own = new Uint32Array(state);
  for (let at = 0; at < padded.length; at += 64) compress(own, padded, at);
  return own[0];
};

const nextTurn = () => new Promise((done) => setTimeout(done));

/** Return the number whose SHA-256 behind `challenge` begins with `bits` zeros (32 at most). */
export const solve = async (challenge, bits) => {
  const encoder = new TextEncoder();
  const prefix = encoder.encode(`${challenge}:`);
  const whole = prefix.length - (prefix.length % 64);
  const state = new Uint32Array(START);
  for (let at = 0; at < whole; at += 64) compress(state, prefix, at);
  for (let number = 0; ; number += 1) {
    const rest = encoder.encode(String(number));
    const tail = new Uint8Array(prefix.length - whole + rest.length);
    tail.set(prefix.subarray(whole));
    tail.set(rest, prefix.length - whole);
    if (Math.clz32(firstWord(state, tail, whole)) >= bits) return number;
    if (number % 2000 === 1999) await nextTurn();
  }
};
