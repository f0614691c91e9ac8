using System.CommandLine;
using FlowMM.Admin.V1;

namespace FlowMM.Cli.Nodes;

/// <summary><c>flowmm nodes</c>: lists a cluster's nodes and empties them.</summary>
public static class NodesCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        Command nodes = GatewayConnection.Command("nodes", "Lists a cluster's nodes and what they do. Needs the admin scope.", async (gateway, _, token) =>
            Console.Write(NodeTable.Of((await gateway.Admin.ListNodesAsync(new(), gateway.Headers, cancellationToken: token)).Nodes)));
        nodes.Add(Draining());
        return nodes;
    }

    private static Command Draining()
    {
        Argument<string> node = new("node") { Description = "The node's name." };
        Option<int> timeout = new("--timeout") { Description = "Bound, 1 to 3,600. Default: as the node is configured.", HelpName = "SECONDS" };
        Command drain = GatewayConnection.Command("drain", "Moves every session off a node and gives it no new ones. Needs the admin scope.", async (gateway, parsed, token) =>
        {
            DrainNodeRequest request = new() { Node = parsed.GetValue(node), TimeoutSeconds = parsed.GetValue(timeout) };
            DrainNodeResponse drained = await gateway.Admin.DrainNodeAsync(request, gateway.Headers, cancellationToken: token);
            Console.WriteLine($"{drained.Moved} sessions moved, {drained.Left} left");
            if (drained.Left > 0)
            {
                throw new CommandException($"{drained.Left} sessions are still on {request.Node}: the bound passed.");
            }
        });
        drain.Add(node);
        drain.Add(timeout);
        return drain;
    }
}
