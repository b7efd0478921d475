"""Grading: learner code and its judge never share a process.

    submitted files → normalise → judge ⇄ zygote → question ⇄ learner's processes
                                    │              (probes)   (sandbox: no network, no files, limits)
                                    └→ result files → gradebook, autograded notebooks, feedback

normalise    the release is the skeleton; only what an answer needs comes from the submission: `reading` has
             its cells, `matching` tells whose they are, `course.cells` picks what an answer runs
answer       untouched, no Python, a value that is to be written out (`course.written`), or a program
probe_side   a lesson's checks without their judges, cases and constants
wire         plain data over pipes
clock        a question's time, which stands still while the machine keeps it waiting; `weight`: its memory
sandbox      what the machine allows: namespaces, Landlock, limits (`system`), refused system calls (`calls`)
cradle       imports everything once, then forks a zygote for every sandbox
zygote       runs a lesson's setup once, then forks a process for every question
question     nursery, prober and learners: who knows what, and who drives whom
apart        in the prober, stands for the answer; `parcel` takes arguments there, `flat` brings results back
desk         in a learner's process: does what it is asked; `watch` interrupts it from outside
workshop     the judge's handle on the zygote; `scratch` is its temporary folder
kernels      threads and kernels, the same on both sides; `secret`: what the cases are drawn from
judge        draws cases, sends them, judges what comes back
classroom    a whole assignment: results that survive a kill, one writer to the gradebook at a time
names        whose work it says it is, against the class list
team         who grades: the cores of this machine, or (`cluster`) the machines of a Dask cluster
delivery     what an LMS hands over, laid in `submitted/`; `unpack` reads its zips and folders
gradebook    nbgrader's gradebook, and who must look again; its `pages` are `inert`, `scribe` makes them
bolt         formgrader, where it would act for a student
ward         what ails a blind patient of the capstone
mishaps      what a disk or a gradebook refuses, as sentences
"""
