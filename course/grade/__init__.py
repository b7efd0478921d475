"""Grading: learner code and its judge never share a process.

    submitted files → normalise → judge ⇄ zygote → question → answer
                                    │        (sandbox: no network, no files, limits)
                                    └→ result files → gradebook, autograded notebooks, feedback

normalise    the release is the skeleton; only what an answer needs comes from the submission: `reading` has
             its cells, `matching` tells whose they are, `course.cells` picks what an answer runs
answer       untouched, no Python, a value that is to be written out (`course.written`), or a program
probe_side   a lesson's checks without their judges, cases and constants
wire         plain data over pipes
clock        a question's time, which stands still while the machine keeps it waiting
sandbox      what the machine allows: namespaces, Landlock, seccomp, limits; `system` holds the system calls
apart        calls an answer in a process of its own and brings back plain data
zygote       imports everything once, then forks a sandboxed process for every question
workshop     the judge's handle on the zygote; `scratch` is its temporary folder
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
