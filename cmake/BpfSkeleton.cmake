# Programs for the kernel, in C: compiled by clang for the machine of bpf(2), and turned into a "skeleton", a header
# with the program inside, by bpftool(8). No BTF of a running kernel is needed, neither to build nor to load them.
find_program(CLANG NAMES clang REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin REQUIRED)

# bpf_skeletons(TARGET FILE.bpf.c...): #include "FILE.skel.h" works in TARGET's sources; the struct is FILE_bpf.
function(bpf_skeletons target)
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/bpf)
    file(MAKE_DIRECTORY ${folder})
    foreach(source ${ARGN})
        get_filename_component(name ${source} NAME_WE)
        add_custom_command(
            OUTPUT ${folder}/${name}.skel.h
            COMMAND ${CLANG} -target bpf -mcpu=v2 -O2 -g -Wall -Wextra -Werror
                    # <asm/types.h> is in a folder of the machine that it is compiled on
                    $<$<BOOL:${CMAKE_LIBRARY_ARCHITECTURE}>:-I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}>
                    -MD -MF ${folder}/${name}.d -MT bpf/${name}.skel.h
                    -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${folder}/${name}.o
            COMMAND ${BPFTOOL} gen skeleton ${folder}/${name}.o name ${name}_bpf > ${folder}/${name}.skel.h
            DEPENDS ${source}
            DEPFILE ${folder}/${name}.d
            COMMENT "Compiling ${source} for the kernel"
            VERBATIM)
        target_sources(${target} PRIVATE ${folder}/${name}.skel.h)
    endforeach()
    target_include_directories(${target} SYSTEM PRIVATE ${folder})
endfunction()
