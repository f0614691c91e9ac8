using System.CommandLine;
using FlowMM.Model;

namespace FlowMM.Cli.Hosting;

/// <summary>The option that says what the kernels keep matrices in.</summary>
internal static class WeightOption
{
    public static Option<string> Create() =>
        new("--weights") { Description = "What matrices are kept in: f32, bf16, int8. Default: f32.", DefaultValueFactory = _ => "f32", HelpName = "TYPE" };

    /// <exception cref="CommandException">There is no such type.</exception>
    public static WeightType Parse(string text) => Enum.TryParse(text, ignoreCase: true, out WeightType type) && !char.IsDigit(text[0])
        ? type
        : throw new CommandException($"there are no weights of type '{text}'; there are f32, bf16, int8");
}
