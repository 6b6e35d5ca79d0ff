#!/usr/bin/env bash
# The real window in a virtual screen: it starts, draws, obeys keys, takes its own picture, and rests when idle.
#
#   tests/window.sh [PROGRAM] [FOLDER]
#
# PROGRAM is the built program (target/release/modescope), FOLDER keeps the pictures (otherwise they are thrown away).
# Needs Xvfb, xdotool, xclip, ImageMagick and a software OpenGL (Debian: xvfb xdotool xclip imagemagick libgl1-mesa-dri libegl1 libgl1).
set -uo pipefail
program=$(realpath "${1:-target/release/modescope}")
work=$(mktemp -d)
pictures=${2:-$work/pictures}
mkdir -p "$pictures"
failures=0

fail() { printf 'FAIL  %s\n' "$*" >&2; failures=$((failures + 1)); }
pass() { printf 'ok    %s\n' "$*"; }
die() { fail "$@"; exit 1; }

cleanup() {
    for pid in "${window_pid-}" "${server_pid-}"; do
        [[ -n $pid ]] && kill "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

for tool in Xvfb xdotool import identify xclip; do
    command -v "$tool" >/dev/null || die "$tool is not installed"
done
[[ -x $program ]] || die "$program is not a program"

# A home of its own, so that no earlier session is opened and none is overwritten.
export HOME=$work/home XDG_CONFIG_HOME=$work/home/config XDG_DATA_HOME=$work/home/data XDG_CACHE_HOME=$work/home/cache
export XDG_STATE_HOME=$work/home/state XDG_RUNTIME_DIR=$work/run
mkdir -p "$HOME" "$XDG_RUNTIME_DIR" && chmod 700 "$XDG_RUNTIME_DIR"
unset WAYLAND_DISPLAY WAYLAND_SOCKET
export LIBGL_ALWAYS_SOFTWARE=1

# The server finds a free display number by itself and tells it.
Xvfb -displayfd 3 -screen 0 1600x1000x24 -nolisten tcp 3>"$work/display" >/dev/null 2>&1 &
server_pid=$!
for _ in {1..100}; do [[ -s $work/display ]] && break; sleep 0.1; done
[[ -s $work/display ]] || die "the virtual screen did not start"
export DISPLAY=:$(<"$work/display")

colors() { identify -format '%k' "$1" 2>/dev/null || echo 0; }
# A picture of a workbench has text in many shades, plots and bars; an empty window a handful of colours.
not_blank() {
    local count
    count=$(colors "$1")
    if ((count >= 200)); then pass "$2: $count colours"; else fail "$2: only $count colours in $1"; fi
}
# Number of pixels that differ between two pictures.
difference() { compare -metric AE -fuzz 2% "$1" "$2" null: 2>&1 | awk '{printf "%d", $1}'; }
# Processor time of the window so far, in milliseconds.
cpu_ms() {
    local fields ticks
    fields=$(sed 's/.*) //' "/proc/$window_pid/stat") || return 1
    ticks=$(awk '{print $12 + $13}' <<<"$fields")
    echo $((ticks * 1000 / $(getconf CLK_TCK)))
}
shoot() { import -window root "$pictures/$1.png" || fail "no picture $1"; }
alive() { kill -0 "$window_pid" 2>/dev/null; }

# 1. The window takes its own picture and ends.
for theme in light dark; do
    picture=$pictures/own-$theme.png
    if timeout 120 "$program" gui figure-5 --size 1280x800 --theme "$theme" --screenshot "$picture" --after 2 \
        2>"$work/own.log"; then
        not_blank "$picture" "own picture, $theme"
        [[ $(identify -format '%wx%h' "$picture") == 1280x800 ]] || fail "own picture, $theme: not 1280x800"
    else
        fail "gui --screenshot, $theme: $(tail -n 1 "$work/own.log")"
    fi
done
if [[ -s $pictures/own-light.png && -s $pictures/own-dark.png ]]; then
    brightness() { identify -format '%[fx:int(mean*100)]' "$1"; }
    light=$(brightness "$pictures/own-light.png") dark=$(brightness "$pictures/own-dark.png")
    if ((light > dark + 30)); then pass "light is lighter than dark: $light, $dark"; else fail "themes: $light, $dark"; fi
fi

# The same for a language model in training.
picture=$pictures/own-language.png
if timeout 120 "$program" gui lm-one-or-two --size 1280x800 --theme dark --screenshot "$picture" --after 3 \
    2>"$work/own.log"; then
    not_blank "$picture" "own picture, language model"
else
    fail "gui --screenshot of a language model: $(tail -n 1 "$work/own.log")"
fi

# 2. The window measures its frames.
if timeout 120 "$program" gui figure-5 --frame-stats "$work/frames.json" --after 3 2>"$work/own.log"; then
    if grep -q p99 "$work/frames.json"; then pass "frame statistics"; else fail "frame statistics without p99"; fi
else
    fail "gui --frame-stats: $(tail -n 1 "$work/own.log")"
fi

# 3. A window as a user has it, driven by keys.
"$program" gui figure-5 --size 1280x800 --theme light 2>"$work/window.log" &
window_pid=$!
window=
for _ in {1..200}; do
    window=$(xdotool search --onlyvisible --name Modescope 2>/dev/null | head -n 1)
    [[ -n $window ]] && break
    alive || die "the window ended: $(tail -n 1 "$work/window.log")"
    sleep 0.1
done
[[ -n $window ]] || die "no window within 20 s"
sleep 3
xdotool windowfocus "$window" 2>/dev/null
shoot training
not_blank "$pictures/training.png" "training"
before=$(cpu_ms)
sleep 2
training_ms=$(($(cpu_ms) - before))
shoot later
changed=$(difference "$pictures/training.png" "$pictures/later.png")
if ((changed > 0)); then pass "it trains at once: $changed pixels changed"; else fail "it does not train"; fi

# Space pauses: the picture stands still and the processor rests.
xdotool key space
sleep 2
shoot paused
sleep 1
shoot still
changed=$(difference "$pictures/paused.png" "$pictures/still.png")
if ((changed == 0)); then
    pass "Space pauses: the picture stands still"
else
    fail "paused, yet $changed pixels of the picture changed"
fi
before=$(cpu_ms)
sleep 5
idle_ms=$(($(cpu_ms) - before))
# One per cent of one processor.
if ((idle_ms <= 50)); then
    pass "idle: $idle_ms ms of processor time in 5 s ($training_ms ms in 2 s of training)"
else
    fail "idle: $idle_ms ms of processor time in 5 s"
fi

# R starts over (still paused), Space trains again: the picture changes.
xdotool key r
sleep 1
shoot reset
xdotool key space
sleep 2
shoot again
changed=$(difference "$pictures/reset.png" "$pictures/again.png")
if ((changed > 0)); then pass "Space trains again: $changed pixels changed"; else fail "Space did not start training"; fi

# Ctrl+Shift+C puts the experiment on the system's clipboard, where another program reads it.
xdotool key ctrl+shift+c
sleep 1
copied=$(timeout 5 xclip -selection clipboard -o 2>"$work/clipboard.log" | grep -c 'format: 1')
if ((copied == 1)); then
    pass "a copied preset is on the clipboard"
else
    fail "no preset on the clipboard: $(tail -n 1 "$work/clipboard.log")"
fi

# Windows of other sizes.
for size in "300 200" "1600 1000" "1 1" "1280 800"; do
    # shellcheck disable=SC2086
    xdotool windowsize "$window" $size
    sleep 1
    alive || break
done
if alive; then pass "lives through every size"; else fail "ended at size $size: $(tail -n 1 "$work/window.log")"; fi

# Many keys at once, in and out of dialogues.
if alive; then
    for key in ctrl+k Escape F1 Escape ctrl+z ctrl+y period comma ctrl+p Escape question Escape; do
        xdotool key --delay 20 "$key"
        sleep 0.3
    done
    sleep 1
    shoot keys
    if alive; then
        pass "lives through its keys"
        not_blank "$pictures/keys.png" "after the keys"
    else
        fail "ended by a key: $(tail -n 1 "$work/window.log")"
    fi
fi
if grep -q panicked "$work/window.log"; then fail "a panic: $(grep -m 1 panicked "$work/window.log")"; fi

# 4. Closing ends the program, promptly and well.
if alive; then
    xdotool windowclose "$window"
    for _ in {1..50}; do alive || break; sleep 0.1; done
    if alive; then fail "still running 5 s after its window was closed"; else pass "closing ends the program"; fi
fi

if ((failures)); then
    printf '%d of the checks of the window failed\n' "$failures" >&2
    exit 1
fi
