"""HDFS: a NameNode and a DataNode.

In: a data folder and ports. Out: configuration files, commands, and whether the file system takes files.
"""

import json
from pathlib import Path
from urllib.request import urlopen
from xml.sax.saxutils import escape

from jars import HERE
from node import HOST, Node

HEAP = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true", "-Djava.awt.headless=true")
STATE = "jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
SERVER = "org.apache.hadoop.hdfs.server"


class Hdfs:
    """A file system; name, nodes, configure, missing: see `Service`."""

    name = "hdfs"

    def __init__(self, data: Path, java: str, jars: Path, port: int, web_port: int) -> None:
        """Describe a file system; nothing is written or started yet."""
        self._folder, self._port, self._web_port = data / "hdfs", port, web_port
        logging = f"-Dlog4j.configuration={(HERE / 'log4j.properties').as_uri()}"
        home = f"-Dhadoop.home.dir={self._folder}"  # it complains of a missing HADOOP_HOME otherwise
        command = [java, *HEAP, logging, home, "-cp", f"{self._folder / 'conf'}:{jars}/*"]
        name_node = [*command, f"{SERVER}.namenode.NameNode"]
        self.nodes = [
            Node(data / "namenode", (port, web_port), [*name_node, "-format", "-force", "-nonInteractive"], name_node),
            Node(data / "datanode", (), [], [*command, f"{SERVER}.datanode.DataNode"]),
        ]

    def configure(self) -> None:
        """Write core-site.xml and hdfs-site.xml."""
        conf = self._folder / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        core = {"fs.defaultFS": f"hdfs://{HOST}:{self._port}", "hadoop.tmp.dir": self._folder / "tmp"}
        (conf / "core-site.xml").write_text(_as_xml(core))
        (conf / "hdfs-site.xml").write_text(_as_xml(self._properties()))

    def missing(self) -> str:
        """What it is that is not ready: the NameNode has to be out of safe mode, and to hear of one DataNode."""
        try:
            with urlopen(f"http://{HOST}:{self._web_port}/{STATE}", timeout=5.0) as answer:
                beans = json.load(answer)["beans"]
        except OSError as error:
            return f"the NameNode does not answer at http://{HOST}:{self._web_port} ({error})"
        state = beans[0] if beans else {}
        if state.get("NumLiveDataNodes") != 1 or not state["CapacityRemaining"]:
            return "the DataNode has not reported its room to the NameNode"  # it is live before that, and of no use
        return "" if state["FSState"] == "Operational" else f"the NameNode is in the state {state['FSState']}"

    def _properties(self) -> dict[str, object]:
        name_node, data_node = (node.folder / "data" for node in self.nodes)
        return {
            "dfs.replication": 1,
            "dfs.permissions.enabled": "false",  # whoever reaches loopback may write
            "dfs.namenode.rpc-address": f"{HOST}:{self._port}",
            "dfs.namenode.http-address": f"{HOST}:{self._web_port}",
            "dfs.namenode.name.dir": name_node.as_uri(),
            "dfs.namenode.safemode.extension": 0,
            "dfs.namenode.safemode.threshold-pct": "1.0",  # 0.999 of a few blocks is all but one: out of it too soon
            "dfs.namenode.handler.count": 4,
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.namenode.heartbeat.recheck-interval": 2000,  # with the next line: a dead DataNode is noticed in 14 s
            "dfs.heartbeat.interval": 1,
            "dfs.datanode.hostname": HOST,
            "dfs.datanode.address": f"{HOST}:0",  # the DataNode tells the NameNode which port it was given
            "dfs.datanode.http.address": f"{HOST}:0",
            "dfs.datanode.ipc.address": f"{HOST}:0",
            "dfs.datanode.data.dir": data_node.as_uri(),
            "dfs.datanode.handler.count": 4,
        }


def _as_xml(properties: dict[str, object]) -> str:
    entries = (
        f"  <property><name>{name}</name><value>{escape(str(value))}</value></property>"
        for name, value in properties.items()
    )
    return "\n".join(["<configuration>", *entries, "</configuration>", ""])
