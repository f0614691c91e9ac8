using System.Globalization;
using System.Text;
using FlowMM.Admin.V1;
using FlowMM.Cli.Inspect;

namespace FlowMM.Cli.Nodes;

/// <summary>Nodes as a table for people.</summary>
internal static class NodeTable
{
    private const int FirstNumber = 3;

    private static readonly string[] Titles = ["NODE", "ADDRESS", "STATUS", "SESSIONS", "CACHE", "LIMIT", "QUEUE", "RUNNING"];

    /// <summary>One line a node under a line of titles; what a node has not reported lately is a dash.</summary>
    public static string Of(IEnumerable<Node> nodes)
    {
        string[][] rows = [Titles, .. nodes.Select(Row)];
        int[] widths = [.. Titles.Select((_, i) => rows.Max(r => r[i].Length))];
        StringBuilder table = new();
        foreach (string[] row in rows)
        {
            table.AppendLine(string.Join("  ", row.Select((cell, i) => i < FirstNumber ? cell.PadRight(widths[i]) : cell.PadLeft(widths[i]))).TrimEnd());
        }

        return table.ToString();
    }

    private static string[] Row(Node node)
    {
        string[] names = [node.Node_, node.Address, node.Status];
        return node.ReportTime is null
            ? [.. names, .. Enumerable.Repeat("-", Titles.Length - names.Length)]
            : [.. names, Text(node.ResidentSessions), ByteSize.Text(node.CacheBytes), ByteSize.Text(node.CacheBytesLimit), Text(node.QueueLength), Text(node.Running)];
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
