"use strict";
// Colours that photographs of the last 150 years often need. A colour gives its hue and chroma alone: how light
// it is comes from the photograph. Marked cc: of the ColorChecker (McCamy, Marcus and Davidson, "A Color-Rendition
// Chart", Journal of Applied Photographic Engineering 2(3), 1976), in sRGB. The others were chosen by eye.
const PALETTE = [
  ["#808080", "no colour", "무채색"],
  ["#c29682", "light skin (cc)", "밝은 피부 (cc)"],
  ["#a9765a", "tanned skin", "그을린 피부"],
  ["#735244", "dark skin (cc)", "어두운 피부 (cc)"],
  ["#b5675f", "lips", "입술"],
  ["#4a382d", "dark hair", "어두운 머리"],
  ["#7a5434", "brown hair", "갈색 머리"],
  ["#c9a565", "blond hair", "금발"],
  ["#8b5e3c", "wood", "나무"],
  ["#a2543f", "brick", "벽돌"],
  ["#b9a07a", "sandstone", "사암"],
  ["#66707a", "slate", "슬레이트"],
  ["#7d644a", "earth", "흙"],
  ["#d2b25f", "straw", "짚"],
  ["#748c42", "grass", "풀"],
  ["#576c43", "foliage (cc)", "나뭇잎 (cc)"],
  ["#627a9d", "sky (cc)", "하늘 (cc)"],
  ["#93b5d6", "pale sky", "옅은 하늘"],
  ["#4d7a86", "sea", "바다"],
  ["#e2d8c2", "linen", "아마포"],
  ["#9b8a5f", "khaki", "카키"],
  ["#5e5b38", "olive drab", "국방색"],
  ["#2b3a63", "navy", "남색"],
  ["#4f6285", "indigo cotton", "쪽빛 무명"],
  ["#a8242b", "red enamel", "붉은 에나멜"],
  ["#2f6a4c", "green enamel", "초록 에나멜"],
  ["#c39a3e", "brass", "놋쇠"],
  ["#9cc4b4", "jade silk", "옥색 비단"],
];
const colourName = (color) => {
  const known = PALETTE.find((one) => one[0] === color);
  return known ? known[document.documentElement.lang === "ko" ? 2 : 1] : color;
};

// Methods that a correction may name, and what they need; a test compares them with the program's list.
const METHODS = {
  unet: "", iizuka: "", patch: "", regression_cnn: "", classification_cnn: "", scribble: "strokes", reference: "reference", welsh: "reference",
};
