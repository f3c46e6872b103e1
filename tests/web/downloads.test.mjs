import assert from 'node:assert/strict'
import { test } from 'node:test'
import { label, lines, recipe, size } from '../../web/js/downloads.js'

const FILES = [
  { file: 'a/x.bin', bytes: 4265146304, licence: 'MIT', commercial: 'yes', here: false },
  { file: 'b/y.bin', bytes: 2220000, licence: 'own', commercial: 'no', here: false },
  { file: 'c/z.bin', bytes: 1, licence: 'MIT', commercial: 'yes', here: true },
]

test('the dialog lists what is missing, with size, licence and place', () => {
  assert.deepEqual(lines(FILES), ['a/x.bin · 4.27 GB · MIT', 'b/y.bin · 2 MB · own · no commercial use'])
  assert.equal(size(10), '1 MB')
})

test('the button says how far it is', () => {
  assert.equal(label({ file: 'vae', done: 2, of: 8, error: '' }), 'Downloading 3 / 8: vae')
  assert.equal(label({ file: '', done: 8, of: 8, error: '' }), 'Public files …')
  assert.equal(label({ file: '', done: 2, of: 8, error: 'no' }), 'Download stopped: go on …')
})

test('fast asks for the files that it takes', () => {
  assert.deepEqual([recipe('sd15-magictalk', true), recipe('tiny', false), recipe('tiny')], ['sd15-magictalk-fast', 'tiny', 'tiny'])
})
