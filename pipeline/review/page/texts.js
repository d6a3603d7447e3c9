"use strict";
// All words of the page, in English and in Korean.
const TEXTS = {
  language: ["Language", "언어"],
  who: ["Your name", "이름"],
  download: ["Download decisions", "결정 내려받기"],
  filter: ["Sort and filter", "정렬과 필터"],
  sort: ["Sort by", "정렬"],
  status: ["Status", "상태"],
  decision: ["Decision", "결정"],
  code: ["Failure code", "실패 코드"],
  folder: ["Folder", "폴더"],
  name: ["Name contains", "이름에 포함"],
  since: ["From day", "시작일"],
  until: ["To day", "종료일"],
  least: ["Colourfulness from", "채도 최소"],
  most: ["Colourfulness to", "채도 최대"],
  keys: [
    "Keys: arrows choose, Enter opens, a accepts, r rejects, g notes the wish for gray, z takes back, Escape closes.",
    "단축키: 화살표 선택, Enter 열기, a 승인, r 거부, g 흑백 희망 기록, z 되돌리기, Esc 닫기.",
  ],
  back: ["Back", "이전"],
  next: ["Next", "다음"],
  close: ["Close", "닫기"],
  slide: ["Before and after", "전후 비교"],
  zoomIn: ["Zoom in", "확대"],
  zoomOut: ["Zoom out", "축소"],
  fit: ["Whole picture", "전체 보기"],
  all: ["All", "전체"],
  none: ["None", "없음"],
  open: ["Open", "열기"],
  accept: ["Accept", "승인"],
  reject: ["Reject", "거부"],
  gray: ["Wish gray", "흑백 희망"],
  undo: ["Take back", "되돌리기"],
  accepted: ["Accepted", "승인됨"],
  rejected: ["Rejected", "거부됨"],
  kept: ["Gray is wished (noted; runs do not act on it yet)", "흑백 희망 (기록만 됨, 아직 실행에 반영되지 않음)"],
  by: ["by", "결정자"],
  before: ["Before", "이전 사진"],
  after: ["After", "채색 사진"],
  noPicture: ["No picture to show", "표시할 사진이 없습니다"],
  byKey: ["Name", "이름"],
  byNewest: ["Newest first", "최신순"],
  byOldest: ["Oldest first", "오래된순"],
  byLeast: ["Least colourful first", "채도 낮은순"],
  byMost: ["Most colourful first", "채도 높은순"],
  byFolder: ["Folder", "폴더"],
  byStatus: ["Status", "상태"],
  byDecision: ["Decision", "결정"],
  byCode: ["Failure code", "실패 코드"],
  colorized: ["Coloured", "채색됨"],
  skipped_color: ["In colour already", "이미 컬러"],
  skipped_other: ["Not an image", "이미지 아님"],
  failed: ["Failed", "실패"],
  archived: ["Archived", "보관됨"],
  chroma: ["mean chroma", "평균 채도"],
  size: ["Size", "크기"],
  method: ["Method", "방법"],
  run: ["Run", "실행"],
  finished: ["Finished", "완료"],
  output: ["Result", "결과"],
  of: ["of", "/"],
  images: ["images", "장"],
  loading: ["loading", "불러오는 중"],
  built: ["built", "생성"],
  small: ["What is shown is a preview: `jobs/review.py --serve --input` shows more.", "미리보기입니다. `jobs/review.py --serve --input`으로 더 크게 볼 수 있습니다."],
  saved: ["Saved", "저장됨"],
  notSaved: ["Not saved", "저장 실패"],
  waiting: ["decisions are in this browser only: download them", "개의 결정이 이 브라우저에만 있습니다. 내려받으세요"],
  needName: ["Give your name first", "먼저 이름을 입력하세요"],
  nothing: ["Nothing to take back", "되돌릴 결정이 없습니다"],
};

const text = (name) => {
  const words = TEXTS[name];
  return words ? words[document.documentElement.lang === "ko" ? 1 : 0] : name;
};

// What the browser keeps between visits; a page from a folder may be refused that.
const kept = {
  get(name) {
    try { return localStorage.getItem(name); } catch { return null; }
  },
  set(name, value) {
    try { localStorage.setItem(name, value); return true; } catch { return false; }
  },
};
