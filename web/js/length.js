/**
 * How long the video of a Prompt Edit node will be, as far as the graph says before it has run.
 *
 * The nodes get it from Encode Audio, which knows it only when it runs; the browser can ask the recording itself.
 */
import { sourceOf, widgetOf } from './graph.js'

const ENCODE = 'PortraitTalk_EncodeAudio'
const USUAL_FPS = 25
/** Seconds of the recording of Example Speech. */
export const EXAMPLE_S = 4
const durations = new Map()

function numberOf(node, name) {
  const value = Number(widgetOf(node, name)?.value)
  return Number.isFinite(value) ? value : null
}

/** Return an input's number: its widget's, or that of the widget of that name (or "value") of the node that feeds it. */
function inputNumber(node, name, root) {
  const source = sourceOf(node, name, root)
  if (!source) return numberOf(node, name)
  return source.type === ENCODE ? numberOf(source, name) : numberOf(source, 'value')
}

/** Return the Encode Audio node that says how long the video of a Prompt Edit node is, or null. */
export function encoderOf(node, root) {
  for (const name of ['speech', 'frame_count']) {
    const source = sourceOf(node, name, root)
    if (source?.type === ENCODE) return source
  }
  return null
}

/**
 * Return `{lengthS, fps}` for a Prompt Edit node; `lengthS` is null where nothing says it yet. `root` is the outermost
 * graph, `soundUrl(name)` gives the address of an input file, `changed` is called when a recording's length has become
 * known, `ran` is what the last run said (`{frames, fps}`) or null.
 */
export function videoLength(node, { root, soundUrl, changed, ran }) {
  const encoder = encoderOf(node, root)
  const fps = (encoder ? inputNumber(encoder, 'fps', root) : inputNumber(node, 'fps', root)) || ran?.fps || USUAL_FPS
  if (encoder) {
    const known = encodedLength(encoder, root, soundUrl, changed)
    if (known !== null) return { lengthS: known, fps }
  } else if (!sourceOf(node, 'speech', root)) {
    const frames = inputNumber(node, 'frame_count', root)
    if (frames) return { lengthS: frames / fps, fps }
  }
  return ran?.frames ? { lengthS: ran.frames / ran.fps, fps: ran.fps } : { lengthS: null, fps }
}

/** Return the seconds that an Encode Audio node lets through, or null while they are not known. */
function encodedLength(node, root, soundUrl, changed) {
  const whole = seconds(sourceOf(node, 'audio', root), root, soundUrl, changed)
  return cut(whole, inputNumber(node, 'start_s', root) ?? 0, inputNumber(node, 'duration_s', root) ?? 0)
}

/** Return what is left of `whole` seconds (null: not known) from a start on; a duration of 0 lasts to the end. */
function cut(whole, startS, durationS) {
  const rest = whole === null ? null : whole - startS
  if (durationS > 0) return rest === null || rest <= 0 ? durationS : Math.min(durationS, rest)
  return rest !== null && rest > 0 ? rest : null
}

/** Return how long the sound is that a node gives, null where that is not known (yet). */
function seconds(node, root, soundUrl, changed) {
  if (!node) return null
  if (node.type === 'PortraitTalk_ExampleSpeech') return EXAMPLE_S * (inputNumber(node, 'repeats', root) ?? 1)
  if (node.type === 'EmptyAudio') return inputNumber(node, 'duration', root)
  if (node.type === 'TrimAudioDuration') {
    const whole = seconds(sourceOf(node, 'audio', root), root, soundUrl, changed)
    const start = inputNumber(node, 'start_index', root) ?? 0
    return cut(whole, start < 0 && whole !== null ? whole + start : start, inputNumber(node, 'duration', root) ?? 0)
  }
  const file = widgetOf(node, 'audio')?.value
  if (typeof file === 'string' && file) return soundLength(soundUrl(file), changed)
  // What changes a sound's colour keeps its length: volume, channels.
  const heard = node.inputs?.filter((input) => input.type === 'AUDIO') ?? []
  if (heard.length !== 1 || /trim|concat|merge|cut/i.test(node.type)) return null
  return seconds(sourceOf(node, heard[0].name, root), root, soundUrl, changed)
}

/** Return the length of a recording in seconds, null while the browser is still finding out or cannot read it. */
function soundLength(url, changed) {
  if (durations.has(url)) return durations.get(url)
  durations.set(url, null)
  const sound = new Audio()
  sound.preload = 'metadata'
  sound.addEventListener('loadedmetadata', () => {
    durations.set(url, Number.isFinite(sound.duration) ? sound.duration : null)
    sound.removeAttribute('src')
    changed()
  })
  sound.src = url
  return null
}
