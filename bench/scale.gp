# SPDX-License-Identifier: Apache-2.0
# The curves of scale.py; it sets folder (where the columns are) and out (the picture).
# Transparent, in colours that can be read on white and on black.
set terminal svg size 860,330 font "sans-serif,13" noenhanced
set output out
set multiplot layout 1,2
set border 3 lc rgb "#808080"
set tics nomirror tc rgb "#808080"
set grid y lc rgb "#808080" lw 0.4 dt 3
set key top left tc rgb "#808080" samplen 1.5
set title tc rgb "#808080"
set xlabel tc rgb "#808080"
set ylabel "CPU per tick, ms" tc rgb "#808080"
set yrange [0:*]
set format x "%.0f"
set style line 1 lc rgb "#c77d0a" lw 2 pt 7 ps 0.7
set style line 2 lc rgb "#3b82d6" lw 2 pt 7 ps 0.7

set title "Growth with processes (100 tasks)"
set xlabel "processes"
set xrange [0:21000]
plot folder."/processes-procfs.dat" using 3:6 with linespoints ls 1 title "procfs", \
     folder."/processes-bpf.dat" using 3:6 with linespoints ls 2 title "bpf"

set title "Growth with tasks (10,000 processes)"
set key center right
set xlabel "tasks"
set xrange [0:2100]
plot folder."/tasks-procfs.dat" using 2:6 with linespoints ls 1 title "procfs", \
     folder."/tasks-bpf.dat" using 2:6 with linespoints ls 2 title "bpf"
unset multiplot
