"""A program of an installation with a library in front of it, whose fields a test reads and sets while it runs."""
import mmap, pathlib, shutil, struct, subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[3]


class Preloaded:
    """
    As a folder of programs (daemon_directory) in which one is preloaded with what is built of 'source'. fields: (format, offset)
    by name, in a file of 'size' octets that the library finds by the variable; they are attributes.
    """

    def __init__(self, home, libexec, program, source, variable, fields, size):
        library, file, self.folder = home / f"{variable}.so", home / variable, home / "libexec"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-U_FORTIFY_SOURCE", f"-I{SOURCE}", "-o", library, SOURCE / source], check=True)
        file.write_bytes(bytes(size))
        file.chmod(0o666)
        with open(file, "r+b") as f:
            self.__dict__.update(memory=mmap.mmap(f.fileno(), size), fields=fields)
        shutil.copytree(libexec, self.folder)
        (self.folder / program).unlink()
        (self.folder / program).write_text(f"#!/bin/bash\nLD_PRELOAD={library} {variable}={file} exec -a {program} {libexec / program} \"$@\"\n")
        (self.folder / program).chmod(0o755)

    def __setattr__(self, name, value):
        if name in self.__dict__.get("fields", ()):
            struct.pack_into("=" + self.fields[name][0], self.memory, self.fields[name][1], value)
        else:
            self.__dict__[name] = value

    def __getattr__(self, name):
        if name not in self.__dict__.get("fields", ()):
            raise AttributeError(name)
        return struct.unpack_from("=" + self.fields[name][0], self.memory, self.fields[name][1])[0]
