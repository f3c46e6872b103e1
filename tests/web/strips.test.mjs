import assert from 'node:assert/strict'
import { test } from 'node:test'
import { motionStrip, scoreStrip } from '../../web/js/strips.js'

globalThis.getComputedStyle = () => ({ getPropertyValue: (name) => (name === '--pt-jaw' ? ' orange ' : 'blue') })

/** A context that keeps what is drawn: filled boxes, stroked and filled lines with their colours. */
function paper() {
  const drawn = { boxes: [], strokes: [], fills: [] }
  let line = []
  return {
    drawn,
    beginPath: () => (line = []),
    lineTo: (x, y) => line.push([x, y]),
    fillRect: (...box) => drawn.boxes.push(box),
    stroke() {
      drawn.strokes.push({ line: [...line], style: this.strokeStyle })
    },
    fill() {
      drawn.fills.push({ line: [...line], style: this.fillStyle, alpha: this.globalAlpha })
    },
  }
}

test('mouth and voice are drawn at their times, high at 1, with gaps and silences', () => {
  const score = { fps: 25, frames: 10, hz: 25, mouth: [0, 1, null, 0.5], voice: [1, 0, 0, 1], silent: [0, 1, 1, 0] }
  const context = paper()
  scoreStrip.draw(context, 100, 58, { ...score, ...scoreStrip.prepare(score) }, 0, null)
  const { boxes, strokes, fills } = context.drawn
  assert.deepEqual(boxes, [[10, 0, 20, 58]])
  assert.deepEqual(strokes.map(({ style }) => style), ['blue', 'orange', 'orange'])
  assert.deepEqual(strokes[1].line, [[0, 54], [10, 4]])
  assert.deepEqual(strokes[2].line, [[30, 29]])
  assert.equal(fills.length, 1)
  assert.deepEqual(fills[0].line.slice(-2), [[30, 58], [0, 58]], 'the hill stands on the ground')
  assert.equal(context.globalAlpha, 1)
})

test('what was heard already is brighter', () => {
  const motion = { fps: 25, frames: 4, jaw: [0, 1, 0, 1], loudness: [-60, 0, -60, 0] }
  const context = paper()
  const alphas = []
  context.fillRect = () => alphas.push(context.globalAlpha)
  motionStrip.draw(context, 100, 64, { ...motion, ...motionStrip.prepare(motion) }, 1, null)
  assert.deepEqual(alphas, [1, 1, 0.45, 0.45])
  assert.equal(context.drawn.strokes[0].line.length, 4)
})

test('a run without curves draws nothing and does not fail', () => {
  for (const strip of [motionStrip, scoreStrip]) {
    const context = paper()
    strip.draw(context, 100, 64, { fps: 25, frames: 4, hz: 25, ...strip.prepare({}) }, 0, null)
    assert.deepEqual(context.drawn.strokes, [])
  }
})
