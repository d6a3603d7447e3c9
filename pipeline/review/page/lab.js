"use strict";
// More or less colour in the browser: the chroma of CIELAB (CIE 15:2018, D65) multiplied, the lightness kept.
// The server computes the same from the prediction itself; pipeline/color/spaces.py has these numbers.
const RGB_TO_XYZ = [0.43388735, 0.37622401, 0.18988865, 0.21263901, 0.71516868, 0.07219232, 0.01775004, 0.10944762, 0.87280234];
const SRGB_OF_LINEAR = new Uint8ClampedArray(16385);
const LINEAR_OF_SRGB = new Float32Array(256);
for (let level = 0; level < 256; level++) {
  const c = level / 255;
  LINEAR_OF_SRGB[level] = c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
}
for (let i = 0; i < SRGB_OF_LINEAR.length; i++) {
  const c = i / 16384;
  SRGB_OF_LINEAR[i] = 255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055);
}
const DELTA = 6 / 29;
const labF = (t) => (t > DELTA ** 3 ? Math.cbrt(t) : t / (3 * DELTA * DELTA) + 4 / 29);
const labFInverse = (f) => (f > DELTA ? f * f * f : 3 * DELTA * DELTA * (f - 4 / 29));

// Of RGBA pixels: f(Y), and how far f(X) and f(Z) are from it (a / 500 and -b / 200).
function labPlanes(pixels) {
  const count = pixels.width * pixels.height, data = pixels.data, m = RGB_TO_XYZ;
  const planes = { width: pixels.width, height: pixels.height, y: new Float32Array(count), x: new Float32Array(count), z: new Float32Array(count) };
  for (let i = 0, at = 0; i < count; i++, at += 4) {
    const r = LINEAR_OF_SRGB[data[at]], g = LINEAR_OF_SRGB[data[at + 1]], b = LINEAR_OF_SRGB[data[at + 2]];
    const y = labF(m[3] * r + m[4] * g + m[5] * b);
    planes.y[i] = y;
    planes.x[i] = labF(m[0] * r + m[1] * g + m[2] * b) - y;
    planes.z[i] = labF(m[6] * r + m[7] * g + m[8] * b) - y;
  }
  return planes;
}

// The pixels with `factor` times the chroma; where sRGB cannot show that, with as much as it can.
function withChroma(planes, factor) {
  const { width, height, x, y, z } = planes, out = new ImageData(width, height), data = out.data, rgb = [0, 0, 0];
  for (let i = 0, at = 0; i < y.length; i++, at += 4) {
    if (!linearRgb(y[i], x[i] * factor, z[i] * factor, rgb)) {
      let low = 0, high = factor;
      for (let step = 0; step < 9; step++) {
        const middle = (low + high) / 2;
        if (linearRgb(y[i], x[i] * middle, z[i] * middle, rgb)) low = middle; else high = middle;
      }
      linearRgb(y[i], x[i] * low, z[i] * low, rgb);
    }
    for (let c = 0; c < 3; c++) data[at + c] = SRGB_OF_LINEAR[Math.max(0, Math.min(16384, (rgb[c] * 16384 + 0.5) | 0))];
    data[at + 3] = 255;
  }
  return out;
}

const XYZ_TO_RGB = [3.08039909, -1.53738318, -0.54301591, -0.92122336, 1.8759675, 0.04525586, 0.05287394, -0.20397696, 1.15110302];
const SLACK = 1e-3; // of a channel, for rounding of 8-bit levels
function linearRgb(fy, dx, dz, rgb) {
  const m = XYZ_TO_RGB, X = labFInverse(fy + dx), Y = labFInverse(fy), Z = labFInverse(fy + dz);
  let inside = true;
  for (let c = 0; c < 3; c++) {
    const value = m[3 * c] * X + m[3 * c + 1] * Y + m[3 * c + 2] * Z;
    rgb[c] = value;
    if (value < -SLACK || value > 1 + SLACK) inside = false;
  }
  return inside;
}
