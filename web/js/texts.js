/** What the widgets say. English stands here; other languages come from `locales/<language>/main.json`. */

const ENGLISH = {
  timeline: 'Timed edits',
  add: 'Add an edit',
  prompt: 'prompt from here on',
  hint: 'click: add · drag: move · double click: reword · right click: remove',
  unknownLength: 'The length is known after the first run',
  otherRate: 'fps is {shown} here and {heard} at Encode Audio: mouth and sound run apart. Connect the fps of Encode Audio.',
  late: 'begins after the end',
  until: 'until',
  unreadable: 'not "seconds: prompt"',
  twice: 'two prompts at',
  motion: 'Motion',
  notRun: 'Run the graph to see the motion here',
  play: 'Play',
  pause: 'Pause',
  seek: 'Moment of the video',
  loudness: 'loudness',
  jaw: 'jaw',
  score: 'Mouth against voice',
  notScored: 'Run the graph to see mouth and voice here',
  mouth: 'mouth',
  voice: 'voice',
  inTime: 'in time',
  lateBy: 'late by',
  earlyBy: 'early by',
  download: 'Public files …',
  downloadAsk: 'These public files are missing. Each has a licence of its own: confirm that you have read them and accept them. A download that stops goes on next time.',
  nonCommercial: 'no commercial use',
  downloading: 'Downloading',
  downloaded: 'All files are here',
  downloadFailed: 'Download stopped: go on …',
  nothingMissing: 'Nothing is missing',
}

let chosen = ENGLISH

/** Return a text in the chosen language, in English where it lacks it. */
export function text(key) {
  return chosen[key] ?? ENGLISH[key] ?? key
}

/** Take over the texts of a language from the server's answer to `/i18n`. */
export function chooseTexts(all, language) {
  const found = all?.[language]?.portraittalk ?? all?.[String(language).split('-')[0]]?.portraittalk
  chosen = { ...ENGLISH, ...found }
}

/** The English texts, for the test that compares them with the locale files. */
export const english = ENGLISH
